package org.kerasfer.core

import kotlin.math.exp
import kotlin.math.max
import kotlin.math.min

/**
 * What the numbers of BlazeFace short-range mean, MediaPipe's face detector for phones (docs/crop.md, section 3).
 *
 * A detection is a [DoubleArray] of 13 in units of the square's side: box (x, y, width, height), the person's right eye,
 * left eye, nose tip and mouth (x, y each), score 0..1.
 */
object BlazeFace {
    /** Pixels of the square that the model sees. */
    const val SIDE = 128
    const val ANCHORS = 896

    /** Numbers of an anchor: box centre and size, six key points. */
    const val VALUES = 16

    /** Numbers of a detection. */
    const val ROW = 13

    private const val MIN_SCORE = 0.5
    private const val SAME_FACE = 0.3

    /** Cells a side and anchors a cell of the two feature maps: 16 * 16 * 2 + 8 * 8 * 6 = 896. */
    private val GRIDS = listOf(16 to 2, 8 to 6)

    private val anchors = DoubleArray(2 * ANCHORS).also { anchors ->
        var i = 0
        for ((cells, perCell) in GRIDS) {
            for (cell in 0 until cells * cells) {
                repeat(perCell) {
                    anchors[i++] = (cell % cells + 0.5) / cells
                    anchors[i++] = (cell / cells + 0.5) / cells
                }
            }
        }
    }

    /** Bytes 0..255 to what the model takes, -1..1. */
    internal val INPUT = FloatArray(256) { it / 127.5f - 1f }

    /**
     * What the raw outputs say, where they are sure enough and the box has a size; the surest first.
     *
     * @param values [ANCHORS] x [VALUES], in pixels of the model's input; all but the size relative to the anchor.
     * @param logits [ANCHORS].
     */
    fun decode(values: FloatArray, logits: FloatArray): List<DoubleArray> {
        val rows = ArrayList<DoubleArray>()
        for (anchor in 0 until ANCHORS) {
            val score = 1 / (1 + exp(-logits[anchor].toDouble().coerceIn(-100.0, 100.0)))
            val at = anchor * VALUES
            if (!(score >= MIN_SCORE && values[at + 2] > 0 && values[at + 3] > 0)) continue
            val x = anchors[2 * anchor]
            val y = anchors[2 * anchor + 1]
            val row = DoubleArray(ROW)
            row[2] = values[at + 2].toDouble() / SIDE
            row[3] = values[at + 3].toDouble() / SIDE
            row[0] = values[at].toDouble() / SIDE + x - row[2] / 2
            row[1] = values[at + 1].toDouble() / SIDE + y - row[3] / 2
            for (i in 4 until 12 step 2) {
                row[i] = values[at + i].toDouble() / SIDE + x
                row[i + 1] = values[at + i + 1].toDouble() / SIDE + y
            }
            row[ROW - 1] = score
            rows += row
        }
        rows.sortByDescending { it[ROW - 1] }
        return rows
    }

    /** Weighted non-maximum suppression: a face is the mean of the boxes that overlap its surest one. */
    fun blend(rows: List<DoubleArray>): List<DoubleArray> {
        val left = rows.toMutableList()
        val faces = ArrayList<DoubleArray>()
        while (left.isNotEmpty()) {
            val first = left[0]
            val (same, others) = left.partition { overlap(first, it) > SAME_FACE }
            val total = same.sumOf { it[ROW - 1] }
            val face = DoubleArray(ROW)
            for (row in same) {
                for (i in 0 until ROW - 1) face[i] += row[ROW - 1] / total * row[i]
            }
            face[ROW - 1] = first[ROW - 1]
            faces += face
            left.clear()
            left += others
        }
        return faces
    }

    /** Intersection over union of two boxes x, y, width, height, whatever follows. */
    fun overlap(a: DoubleArray, b: DoubleArray): Double {
        val common = common(a, b)
        val union = a[2] * a[3] + b[2] * b[3] - common
        return common / max(union, java.lang.Double.MIN_NORMAL)
    }

    internal fun common(a: DoubleArray, b: DoubleArray): Double {
        val width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
        val height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
        return max(width, 0.0) * max(height, 0.0)
    }
}
