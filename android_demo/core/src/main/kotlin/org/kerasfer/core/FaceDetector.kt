package org.kerasfer.core

import kotlin.math.ceil
import kotlin.math.max
import kotlin.math.min

/**
 * A face in a picture.
 *
 * @property rightEye the person's own, like [leftEye]: in an upright picture it is on the left.
 * @property nose the tip of the nose.
 * @property mouth its middle.
 * @property score how sure the detector is, 0..1.
 */
data class Face(
    val box: Box,
    val rightEye: Point,
    val leftEye: Point,
    val nose: Point,
    val mouth: Point,
    val score: Double
)

/**
 * Finds all faces in a picture, as `keras_fer.faces.FaceFinder` does: BlazeFace sees the whole picture, letterboxed, and
 * on further levels overlapping tiles of a half, a quarter... of its side. Not safe for several threads.
 *
 * @param engine BlazeFace; the detector closes it.
 * @throws EngineException it is another model.
 */
class FaceDetector(private val engine: Engine) : AutoCloseable {
    private val sampler = Sampler()
    private val reduced = Image()
    private val square = ByteArray(3 * BlazeFace.SIDE * BlazeFace.SIDE)
    private val input = FloatArray(square.size)
    private val outputs = engine.outputSizes.map(::FloatArray)
    private val values: FloatArray
    private val logits: FloatArray

    init {
        val sizes = setOf(BlazeFace.ANCHORS * BlazeFace.VALUES, BlazeFace.ANCHORS)
        if (engine.inputType != TensorType.FLOAT32 || engine.inputSize != input.size ||
            engine.outputSizes.size != 2 || engine.outputSizes.toSet() != sizes
        ) {
            throw EngineException("the detector is no BlazeFace short-range model (128 x 128 pixels, 896 anchors)")
        }
        values = outputs.first { it.size == BlazeFace.ANCHORS * BlazeFace.VALUES }
        logits = outputs.first { it.size == BlazeFace.ANCHORS }
    }

    val accelerator: Accelerator get() = engine.accelerator

    /**
     * The faces of a picture, the surest first.
     *
     * @param levels 1 finds faces that fill a sixth of the longer side, each further level those half as large, at about
     *   five times the time.
     * @throws EngineException the model failed.
     */
    fun detect(image: Image, levels: Int = 1): List<Face> {
        val rows = ArrayList<DoubleArray>()
        for (level in 0 until levels) {
            val side = max(image.width, image.height) / (1 shl level).toDouble()
            if (level > 0 && side < BlazeFace.SIDE) break
            look(image, side, rows)
        }
        rows.sortByDescending { it[BlazeFace.ROW - 1] }
        val kept = ArrayList<DoubleArray>()
        for (row in rows) {
            if (kept.all { shared(row, it) <= 0.5 }) kept += row
        }
        return kept.map(::face)
    }

    override fun close() = engine.close()

    private fun look(image: Image, side: Double, rows: MutableList<DoubleArray>) {
        // Overlapping tiles share their cells, so the picture is reduced once for all.
        val factor = reduction(side, BlazeFace.SIDE)
        val cells = if (factor == 1) image else reduced.also { Sampler.reduce(image, factor, it) }
        val tiled = side < max(image.width, image.height)
        for (y in centres(image.height, side)) {
            for (x in centres(image.width, side)) {
                val window = Window(Point(x / factor, y / factor), Point(side / factor, 0.0))
                sampler.sample(cells, window, BlazeFace.SIDE, square)
                for (row in run()) {
                    place(row, x - side / 2, y - side / 2, side)
                    if (!tiled || (row[BlazeFace.ROW - 1] >= SURE && whole(row, x, y, side, image))) rows += row
                }
            }
        }
    }

    private fun run(): List<DoubleArray> {
        for (i in square.indices) input[i] = BlazeFace.INPUT[square[i].toInt() and 0xFF]
        engine.run(input, outputs)
        return BlazeFace.blend(BlazeFace.decode(values, logits))
    }

    private fun place(row: DoubleArray, left: Double, top: Double, side: Double) {
        for (i in 0 until BlazeFace.ROW - 1) row[i] *= side
        for (i in POINTS) {
            row[i] += left
            row[i + 1] += top
        }
    }

    /** Whether a box crosses no edge of its tile but the picture's own: another tile has it whole. */
    private fun whole(row: DoubleArray, x: Double, y: Double, side: Double, image: Image): Boolean {
        val half = side / 2
        return (x <= half || row[0] >= x - half) &&
            (y <= half || row[1] >= y - half) &&
            (x + half >= image.width || row[0] + row[2] <= x + half) &&
            (y + half >= image.height || row[1] + row[3] <= y + half)
    }

    private fun shared(a: DoubleArray, b: DoubleArray) = BlazeFace.common(a, b) / min(a[2] * a[3], b[2] * b[3])

    private fun face(row: DoubleArray) = Face(
        Box(row[0], row[1], row[2], row[3]),
        Point(row[4], row[5]),
        Point(row[6], row[7]),
        Point(row[8], row[9]),
        Point(row[10], row[11]),
        row[12]
    )

    private companion object {
        /** The least score in a tile: half-faces in hands and curtains score up to 0.66. */
        const val SURE = 0.7

        /** Where a row holds points and not sizes. */
        val POINTS = intArrayOf(0, 4, 6, 8, 10)

        /** Middles of the tiles along an edge: evenly spaced, each overlapping the next by half or more. */
        fun centres(length: Int, side: Double): DoubleArray {
            if (length <= side) return doubleArrayOf(length / 2.0)
            val tiles = ceil((length - side) / (side / 2)).toInt() + 1
            val step = (length - side) / (tiles - 1)
            return DoubleArray(tiles) { side / 2 + it * step }
        }
    }
}
