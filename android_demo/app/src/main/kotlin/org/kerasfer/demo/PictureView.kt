package org.kerasfer.demo

import android.content.Context
import android.graphics.Bitmap
import android.graphics.BitmapShader
import android.graphics.Canvas
import android.graphics.Matrix
import android.graphics.Paint
import android.graphics.Path
import android.graphics.RectF
import android.graphics.Shader
import android.util.AttributeSet
import android.view.View
import org.kerasfer.core.FaceExpression
import org.kerasfer.core.FaceMark
import org.kerasfer.core.Image
import org.kerasfer.core.Placement
import org.kerasfer.core.faceMarks

/** The picture that was analysed, with the square that the model saw around each face: they fit by construction. */
class PictureView(context: Context, attributes: AttributeSet?) : View(context, attributes) {
    private val density = resources.displayMetrics.density
    private val corner = resources.getDimension(R.dimen.corner)
    private val picture = Paint(Paint.ANTI_ALIAS_FLAG or Paint.FILTER_BITMAP_FLAG)
    private val empty = Paint(Paint.ANTI_ALIAS_FLAG).apply { color = context.getColor(R.color.container) }
    private val line = stroke(R.color.mark, 2.5f)
    private val outline = stroke(R.color.mark_outline, 5f)
    private val plate = Paint(Paint.ANTI_ALIAS_FLAG).apply { color = context.getColor(R.color.mark_label) }
    private val text = Paint(Paint.ANTI_ALIAS_FLAG).apply {
        color = context.getColor(R.color.mark)
        textSize = resources.getDimension(R.dimen.mark_text)
    }
    private val padding = 8 * density
    private val path = Path()
    private val toView = Matrix()
    private var bitmap: Bitmap? = null
    private var faces: List<FaceExpression> = emptyList()

    /** What is written at the faces. */
    var labels: List<String> = emptyList()
        private set

    /** Shows a picture and its faces; copies the pixels. `labels` go with the faces. */
    fun show(image: Image, faces: List<FaceExpression>, labels: List<String>) {
        val target = bitmap?.takeIf { it.width == image.width && it.height == image.height } ?: adopt(image)
        target.setPixels(image.pixels, 0, image.width, 0, 0, image.width, image.height)
        this.faces = faces
        this.labels = labels
        invalidate()
    }

    /** Shows an empty place. */
    fun clear() {
        bitmap = null
        faces = emptyList()
        labels = emptyList()
        invalidate()
    }

    /** Pixels that a label takes. */
    fun labelWidth(label: String): Float = text.measureText(label) + 2 * padding

    override fun onDraw(canvas: Canvas) {
        val bitmap = bitmap
        if (bitmap == null) {
            canvas.drawRoundRect(0f, 0f, width.toFloat(), height.toFloat(), corner, corner, empty)
            return
        }
        val placement = Placement.fit(bitmap.width, bitmap.height, width, height)
        toView.setScale(placement.scale.toFloat(), placement.scale.toFloat())
        toView.postTranslate(placement.left.toFloat(), placement.top.toFloat())
        picture.shader.setLocalMatrix(toView)
        canvas.drawRoundRect(
            placement.left.toFloat(),
            placement.top.toFloat(),
            placement.x(bitmap.width.toDouble()).toFloat(),
            placement.y(bitmap.height.toDouble()).toFloat(),
            corner,
            corner,
            picture
        )
        drawMarks(canvas, placement)
    }

    private fun drawMarks(canvas: Canvas, placement: Placement) {
        val metrics = text.fontMetrics
        val labelHeight = metrics.descent - metrics.ascent + padding
        val full = marks(placement, labels, labelHeight)
        // Labels that would cover each other shrink to the faces' numbers: their cards say the rest.
        val written = if (overlap(full, labels, labelHeight)) labels.map { it.substringBefore(NUMBER_END) } else labels
        val marks = if (written === labels) full else marks(placement, written, labelHeight)
        marks.forEachIndexed { i, mark ->
            path.rewind()
            path.moveTo(mark.corners[0], mark.corners[1])
            for (corner in 1..3) path.lineTo(mark.corners[2 * corner], mark.corners[2 * corner + 1])
            path.close()
            canvas.drawPath(path, outline)
            canvas.drawPath(path, line)
            val label = written[i]
            val left = mark.labelLeft
            val top = mark.labelTop + padding / 2
            val right = left + labelWidth(label)
            canvas.drawRoundRect(left, top, right, top + labelHeight, padding, padding, plate)
            canvas.drawText(label, left + padding, top + padding / 2 - metrics.ascent, text)
        }
    }

    private fun marks(placement: Placement, labels: List<String>, labelHeight: Float): List<FaceMark> {
        val widest = labels.maxOfOrNull(::labelWidth) ?: 0f
        return faceMarks(faces, placement, width, height, widest, labelHeight + padding)
    }

    /** Whether a label covers another label or another face. */
    private fun overlap(marks: List<FaceMark>, labels: List<String>, labelHeight: Float): Boolean {
        val rects = marks.mapIndexed { i, mark ->
            RectF(mark.labelLeft, mark.labelTop, mark.labelLeft + labelWidth(labels[i]), mark.labelTop + labelHeight)
        }
        return marks.indices.any { i ->
            marks.indices.any { j ->
                i != j && (RectF.intersects(rects[i], rects[j]) || RectF.intersects(rects[i], bounds(marks[j])))
            }
        }
    }

    private fun bounds(mark: FaceMark): RectF {
        val xs = mark.corners.filterIndexed { i, _ -> i % 2 == 0 }
        val ys = mark.corners.filterIndexed { i, _ -> i % 2 == 1 }
        return RectF(xs.min(), ys.min(), xs.max(), ys.max())
    }

    private fun adopt(image: Image): Bitmap {
        val made = Bitmap.createBitmap(image.width, image.height, Bitmap.Config.ARGB_8888)
        picture.shader = BitmapShader(made, Shader.TileMode.CLAMP, Shader.TileMode.CLAMP)
        bitmap = made
        return made
    }

    private fun stroke(colour: Int, dp: Float) = Paint(Paint.ANTI_ALIAS_FLAG).apply {
        style = Paint.Style.STROKE
        strokeJoin = Paint.Join.ROUND
        strokeWidth = dp * density
        color = context.getColor(colour)
    }

    companion object {
        /** Ends a face's number in its label: an en space. */
        const val NUMBER_END = '\u2002'
    }
}
