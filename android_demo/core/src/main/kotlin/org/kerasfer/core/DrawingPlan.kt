package org.kerasfer.core

import kotlin.math.max
import kotlin.math.min

/**
 * Where a picture lies on the screen: `screen = picture * scale + offset`.
 *
 * @property scale screen pixels for a pixel of the picture.
 */
data class Placement(val scale: Double, val left: Double, val top: Double) {
    fun x(x: Double) = left + x * scale

    fun y(y: Double) = top + y * scale

    companion object {
        /** The whole picture, as large as it fits, in the middle. */
        fun fit(pictureWidth: Int, pictureHeight: Int, width: Int, height: Int) =
            place(pictureWidth, pictureHeight, width, height, ::min)

        /** The screen filled, what hangs over is cut. */
        fun fill(pictureWidth: Int, pictureHeight: Int, width: Int, height: Int) =
            place(pictureWidth, pictureHeight, width, height, ::max)

        private fun place(w: Int, h: Int, width: Int, height: Int, choose: (Double, Double) -> Double): Placement {
            if (w <= 0 || h <= 0) return Placement(1.0, 0.0, 0.0)
            val scale = choose(width / w.toDouble(), height / h.toDouble())
            return Placement(scale, (width - w * scale) / 2, (height - h * scale) / 2)
        }
    }
}

/**
 * How a face is marked on the screen, in its pixels.
 *
 * @property corners of the square that the model saw: x, y of upper left, upper right, lower right, lower left.
 * @property labelLeft place of a label that fits the screen: above the square, below where there is no room.
 */
class FaceMark(val face: FaceExpression, val corners: FloatArray, val labelLeft: Float, val labelTop: Float)

/** Marks for all faces; `labelWidth` and `labelHeight` are the size of a label in screen pixels. */
fun faceMarks(
    faces: List<FaceExpression>,
    placement: Placement,
    width: Int,
    height: Int,
    labelWidth: Float,
    labelHeight: Float
): List<FaceMark> = faces.map { face ->
    val corners = face.window.corners()
    val screen = FloatArray(8) { i -> (if (i % 2 == 0) placement.x(corners[i]) else placement.y(corners[i])).toFloat() }
    val left = minOf(minOf(screen[0], screen[2]), minOf(screen[4], screen[6]))
    val upper = minOf(minOf(screen[1], screen[3]), minOf(screen[5], screen[7]))
    val lower = maxOf(maxOf(screen[1], screen[3]), maxOf(screen[5], screen[7]))
    val top = if (upper >= labelHeight) upper - labelHeight else lower
    FaceMark(
        face,
        screen,
        left.coerceIn(0f, max(0f, width - labelWidth)),
        top.coerceIn(0f, max(0f, height - labelHeight))
    )
}
