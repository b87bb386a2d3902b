package org.kerasfer.demo

import android.content.Context
import android.graphics.Canvas
import android.graphics.Paint
import android.util.AttributeSet
import android.view.View

/** A probability as a bar. The number beside it says the same. */
class BarView(context: Context, attributes: AttributeSet?) : View(context, attributes) {
    private val track = Paint(Paint.ANTI_ALIAS_FLAG).apply { color = context.getColor(R.color.bar_track) }
    private val first = Paint(Paint.ANTI_ALIAS_FLAG).apply { color = context.getColor(R.color.primary) }
    private val other = Paint(Paint.ANTI_ALIAS_FLAG).apply { color = context.getColor(R.color.bar_other) }
    private var share = 0f
    private var top = false

    /** @param share 0..1. */
    fun show(share: Float, top: Boolean) {
        this.share = share
        this.top = top
        invalidate()
    }

    override fun onDraw(canvas: Canvas) {
        val wide = width.toFloat()
        val high = height.toFloat()
        canvas.drawRoundRect(0f, 0f, wide, high, high / 2, high / 2, track)
        val length = wide * share.coerceIn(0f, 1f)
        if (length < 1) return
        val start = if (layoutDirection == LAYOUT_DIRECTION_RTL) wide - length else 0f
        canvas.save()
        canvas.clipRect(start, 0f, start + length, high)
        val end = maxOf(length, high)
        val from = if (start > 0) wide - end else 0f
        canvas.drawRoundRect(from, 0f, from + end, high, high / 2, high / 2, if (top) first else other)
        canvas.restore()
    }
}
