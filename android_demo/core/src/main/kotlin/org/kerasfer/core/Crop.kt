package org.kerasfer.core

import kotlin.math.floor
import kotlin.math.max
import kotlin.math.min
import kotlin.math.sqrt

/** A place in a picture, pixels: x to the right, y down; pixel (0, 0) covers the square from (0, 0) to (1, 1). */
data class Point(val x: Double, val y: Double)

/** An upright rectangle in a picture, pixels. */
data class Box(val x: Double, val y: Double, val width: Double, val height: Double)

/**
 * A square, possibly turned, on a picture.
 *
 * @property centre its middle.
 * @property across the vector along its upper edge, from left to right: its length is the square's side.
 */
data class Window(val centre: Point, val across: Point) {
    val side: Double get() = sqrt(across.x * across.x + across.y * across.y)

    /** The corners as x, y pairs: upper left, upper right, lower right, lower left. */
    fun corners(): DoubleArray = DoubleArray(8).also { corners ->
        for (i in 0 until 4) {
            val u = if (i == 1 || i == 2) 0.5 else -0.5
            val v = if (i >= 2) 0.5 else -0.5
            corners[2 * i] = centre.x + (u * across.x - v * across.y)
            corners[2 * i + 1] = centre.y + (u * across.y + v * across.x)
        }
    }
}

/**
 * The square that a face is seen in (docs/crop.md, section 1): as large as its box asks, upright as its eyes say.
 *
 * @param leftEye the person's own, on the right of an upright picture.
 * @param margin side of the square in units of the square root of the box's area.
 * @param eyeHeight how far below the upper edge the eyes' midpoint lies, in units of the side.
 */
fun faceWindow(leftEye: Point, rightEye: Point, box: Box, margin: Double, eyeHeight: Double): Window {
    val side = margin * sqrt(box.width * box.height)
    val dx = leftEye.x - rightEye.x
    val dy = leftEye.y - rightEye.y
    val distance = sqrt(dx * dx + dy * dy)
    val across = if (distance > 0) Point(side * (dx / distance), side * (dy / distance)) else Point(side, 0.0)
    val down = 0.5 - eyeHeight
    val x = (leftEye.x + rightEye.x) / 2
    val y = (leftEye.y + rightEye.y) / 2
    return Window(Point(x - down * across.y, y + down * across.x), across)
}

/** The whole factor by which a picture is reduced before a window of it is sampled to `size` pixels. */
internal fun reduction(side: Double, size: Int): Int = max(1, (side / size).toInt())

/**
 * The pixels of windows, as docs/crop.md (section 2) defines them to the bit: integers but for the coordinates.
 *
 * Keeps a buffer of cells, so nothing is allocated that grows with the picture. Not safe for several threads.
 */
class Sampler {
    private val cells = Image()
    private var places = DoubleArray(0)

    /**
     * Samples [window] of [image] to [size] x [size] pixels, R, G and B bytes row by row, into [rgb].
     *
     * @throws IllegalArgumentException the window has no side, or [rgb] is shorter than `3 * size * size`.
     */
    fun sample(image: Image, window: Window, size: Int, rgb: ByteArray) {
        val side = window.side
        require(side > 0) { "a window needs a positive side, got $side" }
        require(rgb.size >= 3 * size * size) { "$size x $size pixels do not fit into ${rgb.size} bytes" }
        val factor = reduction(side, size)
        if (factor == 1) {
            interpolate(image, 0, 0, window, 1, size, rgb)
            return
        }
        // Rounding keeps order, so the outermost samples are the corners'.
        var left = Int.MAX_VALUE
        var top = Int.MAX_VALUE
        var right = Int.MIN_VALUE
        var bottom = Int.MIN_VALUE
        for (corner in 0 until 4) {
            val u = ((if (corner and 1 == 0) 0 else size - 1) + 0.5) / size - 0.5
            val v = ((if (corner and 2 == 0) 0 else size - 1) + 0.5) / size - 0.5
            val x = fixedX(window, u, v, factor) shr FRACTION_BITS
            val y = fixedY(window, u, v, factor) shr FRACTION_BITS
            left = min(left, x)
            right = max(right, x + 2)
            top = min(top, y)
            bottom = max(bottom, y + 2)
        }
        reduce(image, factor, left, top, right, bottom, cells)
        interpolate(cells, left, top, window, factor, size, rgb)
    }

    private fun interpolate(cells: Image, left: Int, top: Int, window: Window, factor: Int, size: Int, rgb: ByteArray) {
        val pixels = cells.pixels
        val row = cells.width
        if (places.size != size) places = DoubleArray(size) { (it + 0.5) / size - 0.5 }
        val lastColumn = row - 1
        val lastRow = cells.height - 1
        var target = 0
        for (j in 0 until size) {
            val v = places[j]
            for (i in 0 until size) {
                val u = places[i]
                val x = fixedX(window, u, v, factor)
                val y = fixedY(window, u, v, factor)
                val a = (x shr FRACTION_BITS) - left
                val b = (y shr FRACTION_BITS) - top
                val fx = x and (ONE - 1)
                val fy = y and (ONE - 1)
                val p00: Int
                val p10: Int
                val p01: Int
                val p11: Int
                if (a >= 0 && b >= 0 && a < lastColumn && b < lastRow) {
                    val here = b * row + a
                    p00 = pixels[here]
                    p10 = pixels[here + 1]
                    p01 = pixels[here + row]
                    p11 = pixels[here + row + 1]
                } else {
                    p00 = cell(cells, a, b)
                    p10 = cell(cells, a + 1, b)
                    p01 = cell(cells, a, b + 1)
                    p11 = cell(cells, a + 1, b + 1)
                }
                rgb[target] = mix(p00 shr 16, p10 shr 16, p01 shr 16, p11 shr 16, fx, fy)
                rgb[target + 1] = mix(p00 shr 8, p10 shr 8, p01 shr 8, p11 shr 8, fx, fy)
                rgb[target + 2] = mix(p00, p10, p01, p11, fx, fy)
                target += 3
            }
        }
    }

    private fun cell(cells: Image, x: Int, y: Int): Int =
        if (x in 0 until cells.width && y in 0 until cells.height) cells.pixels[y * cells.width + x] else OUTSIDE

    private fun mix(p00: Int, p10: Int, p01: Int, p11: Int, fx: Int, fy: Int): Byte {
        val upper = (p00 and 0xFF) * (ONE - fx) + (p10 and 0xFF) * fx
        val lower = (p01 and 0xFF) * (ONE - fx) + (p11 and 0xFF) * fx
        return ((upper * (ONE - fy) + lower * fy + HALF) shr (2 * FRACTION_BITS)).toByte()
    }

    private fun fixedX(window: Window, u: Double, v: Double, factor: Int): Int =
        fixed((window.centre.x + (u * window.across.x - v * window.across.y)) / factor)

    private fun fixedY(window: Window, u: Double, v: Double, factor: Int): Int =
        fixed((window.centre.y + (u * window.across.y + v * window.across.x)) / factor)

    private fun fixed(coordinate: Double): Int = floor((coordinate - 0.5) * ONE + 0.5).toInt()

    companion object {
        private const val FRACTION_BITS = 10
        private const val ONE = 1 shl FRACTION_BITS
        private const val HALF = 1 shl (2 * FRACTION_BITS - 1)

        /**
         * Means of [factor] x [factor] pixels, rounded; cell (0, 0) begins at the picture's corner.
         *
         * @param left first column of cells wanted; like the others also beyond the picture, which goes on in grey.
         * @param right column behind the last one.
         * @param into gets the cells from ([left], [top]) on.
         */
        fun reduce(image: Image, factor: Int, left: Int, top: Int, right: Int, bottom: Int, into: Image) {
            into.resize(right - left, bottom - top)
            val area = factor * factor
            val cells = into.pixels
            val pixels = image.pixels
            var target = 0
            for (row in top until bottom) {
                val y0 = max(row * factor, 0)
                val y1 = min((row + 1) * factor, image.height)
                for (column in left until right) {
                    val x0 = max(column * factor, 0)
                    val x1 = min((column + 1) * factor, image.width)
                    val inside = max(x1 - x0, 0) * max(y1 - y0, 0)
                    if (inside == 0) {
                        cells[target++] = OUTSIDE
                        continue
                    }
                    val grey = 128 * (area - inside) + area / 2
                    var red = grey
                    var green = grey
                    var blue = grey
                    for (y in y0 until y1) {
                        var i = y * image.width + x0
                        val end = i + (x1 - x0)
                        while (i < end) {
                            // Red and blue are summed in one number: 16 bits each hold 256 pixels.
                            val stop = min(end, i + 256)
                            var redBlue = 0
                            var middle = 0
                            while (i < stop) {
                                val pixel = pixels[i++]
                                redBlue += pixel and 0xFF00FF
                                middle += pixel and 0xFF00
                            }
                            red += redBlue ushr 16
                            green += middle ushr 8
                            blue += redBlue and 0xFFFF
                        }
                    }
                    cells[target++] = OPAQUE or (red / area shl 16) or (green / area shl 8) or blue / area
                }
            }
        }

        /** All cells that cover the picture. */
        fun reduce(image: Image, factor: Int, into: Image) =
            reduce(image, factor, 0, 0, ceilDiv(image.width, factor), ceilDiv(image.height, factor), into)

        private fun ceilDiv(a: Int, b: Int) = (a + b - 1) / b
    }
}
