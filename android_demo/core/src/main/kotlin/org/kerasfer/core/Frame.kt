package org.kerasfer.core

import java.nio.Buffer
import java.nio.ByteBuffer
import kotlin.math.max
import kotlin.math.min

/**
 * One plane of an `android.media.Image`.
 *
 * @property buffer the plane's first sample is its byte 0; position and limit do not matter and stay as they are.
 * @property rowStride bytes from a row to the next, padding included.
 * @property pixelStride bytes from a sample to the next: 2 where U and V are interleaved.
 */
class Plane(val buffer: ByteBuffer, val rowStride: Int, val pixelStride: Int)

/** The part of a frame that counts (`android.media.Image.getCropRect`), in pixels of the frame. */
data class CropRect(val left: Int, val top: Int, val width: Int, val height: Int)

/**
 * A frame as a camera or a file delivers it. It is read once, by [FrameConverter], and then belongs to its source again.
 *
 * @property crop what of it is used.
 * @property rotation degrees clockwise, 0, 90, 180 or 270, by which it must be turned to be upright.
 * @property mirrored whether it is to be flipped from left to right once it is upright, as a mirror would show it.
 */
sealed class Frame(val crop: CropRect, val rotation: Int, val mirrored: Boolean) {
    init {
        require(rotation in setOf(0, 90, 180, 270)) { "a frame turns by 0, 90, 180 or 270 degrees, not by $rotation" }
        require(crop.left >= 0 && crop.top >= 0 && crop.width > 0 && crop.height > 0) { "empty crop $crop" }
    }
}

/**
 * `ImageFormat.YUV_420_888`: U and V have one sample for 2 x 2 pixels.
 *
 * @property fullRange whether Y goes from 0 to 255 (JFIF, as Android's cameras deliver it), not from 16 to 235. Both are
 *   BT.601.
 */
class YuvFrame(
    val y: Plane,
    val u: Plane,
    val v: Plane,
    crop: CropRect,
    rotation: Int = 0,
    mirrored: Boolean = false,
    val fullRange: Boolean = true
) : Frame(crop, rotation, mirrored)

/** `PixelFormat.RGBA_8888`: bytes R, G, B, A; the transparency is ignored. */
class RgbaFrame(val plane: Plane, crop: CropRect, rotation: Int = 0, mirrored: Boolean = false) :
    Frame(crop, rotation, mirrored)

/**
 * Frames to upright pictures.
 *
 * Keeps buffers for a row of samples, so nothing is allocated that grows with the picture. Not safe for several threads.
 */
class FrameConverter {
    private val rows = Array(3) { ByteArray(0) }

    /**
     * Writes the frame's crop, turned and mirrored as it asks, into [image].
     *
     * @throws IllegalArgumentException a plane is too small for the crop and its strides.
     */
    fun convert(frame: Frame, image: Image) {
        val (_, _, width, height) = frame.crop
        val turned = frame.rotation % 180 != 0
        if (turned) image.resize(height, width) else image.resize(width, height)

        // Pixel (x, y) of the crop goes to start + x * across + y * down.
        val row = image.width
        var (start, across, down) = when (frame.rotation) {
            0 -> Triple(0, 1, row)
            90 -> Triple(height - 1, row, -1)
            180 -> Triple(width * height - 1, -1, -row)
            else -> Triple((width - 1) * row, -row, 1)
        }
        if (frame.mirrored) {
            start += row - 1 - 2 * (start % row)
            if (turned) down = -down else across = -across
        }
        when (frame) {
            is YuvFrame -> convertYuv(frame, image.pixels, start, across, down)
            is RgbaFrame -> convertRgba(frame, image.pixels, start, across, down)
        }
    }

    private fun convertYuv(frame: YuvFrame, pixels: IntArray, start: Int, across: Int, down: Int) {
        val (left, top, width, height) = frame.crop
        val chromaLeft = left shr 1
        val chromaWidth = ((left + width - 1) shr 1) - chromaLeft + 1
        val yBuffer = frame.y.buffer.duplicate()
        val uBuffer = frame.u.buffer.duplicate()
        val vBuffer = frame.v.buffer.duplicate()
        for (j in 0 until height) {
            val row = top + j
            read(0, yBuffer, frame.y, left, row, width)
            if (j == 0 || row and 1 == 0) {
                read(1, uBuffer, frame.u, chromaLeft, row shr 1, chromaWidth)
                read(2, vBuffer, frame.v, chromaLeft, row shr 1, chromaWidth)
            }
            convertYuvRow(frame, pixels, start + j * down, across)
        }
    }

    private fun convertYuvRow(frame: YuvFrame, pixels: IntArray, start: Int, across: Int) {
        val matrix = if (frame.fullRange) YuvMatrix.FULL_RANGE else YuvMatrix.LIMITED_RANGE
        val (luma, redOfV, greenOfU, greenOfV, blueOfU) = matrix
        val (ys, us, vs) = rows
        val yStep = frame.y.pixelStride
        val uStep = frame.u.pixelStride
        val vStep = frame.v.pixelStride
        val odd = frame.crop.left and 1
        var target = start
        var x = 0
        while (x < frame.crop.width) {
            val chroma = (x + odd) shr 1
            val u = us[chroma * uStep].toInt() and 0xFF
            val v = vs[chroma * vStep].toInt() and 0xFF
            val toRed = redOfV[v]
            val toGreen = greenOfU[u] + greenOfV[v]
            val toBlue = blueOfU[u]
            val pairEnd = min(frame.crop.width, 2 * chroma + 2 - odd)
            while (x < pairEnd) {
                val y = luma[ys[x++ * yStep].toInt() and 0xFF]
                val red = clip((y + toRed) shr YuvMatrix.BITS)
                val green = clip((y + toGreen) shr YuvMatrix.BITS)
                val blue = clip((y + toBlue) shr YuvMatrix.BITS)
                pixels[target] = OPAQUE or (red shl 16) or (green shl 8) or blue
                target += across
            }
        }
    }

    private fun convertRgba(frame: RgbaFrame, pixels: IntArray, start: Int, across: Int, down: Int) {
        val (left, top, width, height) = frame.crop
        val step = frame.plane.pixelStride
        val buffer = frame.plane.buffer.duplicate()
        for (j in 0 until height) {
            val row = read(0, buffer, frame.plane, left, top + j, width, sampleBytes = 3)
            var target = start + j * down
            for (x in 0 until width) {
                val red = row[x * step].toInt() and 0xFF
                val green = row[x * step + 1].toInt() and 0xFF
                val blue = row[x * step + 2].toInt() and 0xFF
                pixels[target] = OPAQUE or (red shl 16) or (green shl 8) or blue
                target += across
            }
        }
    }

    /** Row [y] of a plane from sample [left] on, in one bulk copy: single gets are slow on phones. */
    private fun read(
        slot: Int,
        buffer: ByteBuffer,
        plane: Plane,
        left: Int,
        y: Int,
        samples: Int,
        sampleBytes: Int = 1
    ): ByteArray {
        val first = y * plane.rowStride + left * plane.pixelStride
        val bytes = (samples - 1) * plane.pixelStride + sampleBytes
        require(first + bytes <= buffer.capacity()) {
            "row $y of a plane of ${buffer.capacity()} bytes ends at byte ${first + bytes}"
        }
        if (rows[slot].size < bytes) rows[slot] = ByteArray(bytes)
        // ByteBuffer's own limit() and position() came after Android 26.
        val place: Buffer = buffer
        place.limit(first + bytes).position(first)
        buffer.get(rows[slot], 0, bytes)
        return rows[slot]
    }

    /** Minimum and maximum compile to moves without a branch, which noise in dark and bright places would mislead. */
    private fun clip(value: Int) = max(0, min(255, value))
}

/** BT.601 in tables of 20-bit fractions, with OpenCV's coefficients: the pixels are the same as its. */
private class YuvMatrix(luma: (Int) -> Int, redOfV: Int, greenOfU: Int, greenOfV: Int, blueOfU: Int) {
    private val luma = IntArray(256) { luma(it) + (1 shl (BITS - 1)) }
    private val redOfV = chroma(redOfV)
    private val greenOfU = chroma(greenOfU)
    private val greenOfV = chroma(greenOfV)
    private val blueOfU = chroma(blueOfU)

    operator fun component1() = luma

    operator fun component2() = redOfV

    operator fun component3() = greenOfU

    operator fun component4() = greenOfV

    operator fun component5() = blueOfU

    private fun chroma(coefficient: Int) = IntArray(256) { (it - 128) * coefficient }

    companion object {
        const val BITS = 20

        /** COLOR_YCrCb2RGB: 1.403, -0.344, -0.714, 1.773 in 14 bits. */
        val FULL_RANGE = YuvMatrix({ it shl BITS }, 22987 shl 6, -5636 shl 6, -11698 shl 6, 29049 shl 6)

        /** COLOR_YUV2RGB_I420. */
        val LIMITED_RANGE = YuvMatrix({ maxOf(it - 16, 0) * 1220542 }, 1673527, -409993, -852492, 2116026)
    }
}
