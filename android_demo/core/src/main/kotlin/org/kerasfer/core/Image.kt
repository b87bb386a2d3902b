package org.kerasfer.core

/**
 * A picture in memory, as Android's `Bitmap.setPixels` takes it: 0xAARRGGBB, row by row, upper left pixel first.
 *
 * Made to be filled again and again: [pixels] grows when a larger picture comes and never shrinks.
 */
class Image(width: Int = 0, height: Int = 0) {
    var width = width
        private set
    var height = height
        private set

    /** At least `width * height` long; what lies behind is left over from earlier pictures. */
    var pixels = IntArray(width * height)
        private set

    /** Gives the picture another size. Its pixels are undefined until they are written. */
    fun resize(width: Int, height: Int) {
        require(width >= 0 && height >= 0) { "a picture cannot be $width x $height pixels large" }
        if (pixels.size < width * height) pixels = IntArray(width * height)
        this.width = width
        this.height = height
    }
}

/** What lies beyond a picture's edges: grey 128, as docs/crop.md says. */
internal const val OUTSIDE = 0xFF808080.toInt()

/** Opaque 0xAARRGGBB pixels of `count` RGB triples: to show what a model sees. */
fun rgbToArgb(rgb: ByteArray, argb: IntArray, count: Int = rgb.size / 3) {
    for (i in 0 until count) {
        val red = rgb[3 * i].toInt() and 0xFF
        val green = rgb[3 * i + 1].toInt() and 0xFF
        val blue = rgb[3 * i + 2].toInt() and 0xFF
        argb[i] = OPAQUE or (red shl 16) or (green shl 8) or blue
    }
}

internal const val OPAQUE = 0xFF000000.toInt()
