package org.kerasfer.demo

import android.content.Context
import android.util.AttributeSet
import android.view.ViewGroup

/** Puts its children into as many columns as fit: fewer where the phone is narrow or its font is large. */
class CardGrid(context: Context, attributes: AttributeSet?) : ViewGroup(context, attributes) {
    /** The least width of a column, pixels. */
    var least = 1
        set(value) {
            if (field != value) requestLayout()
            field = value
        }
    private val gap = resources.getDimensionPixelSize(R.dimen.gap_small)

    override fun onMeasure(widthMeasureSpec: Int, heightMeasureSpec: Int) {
        val width = MeasureSpec.getSize(widthMeasureSpec)
        val column = MeasureSpec.makeMeasureSpec(columnWidth(width), MeasureSpec.EXACTLY)
        val free = MeasureSpec.makeMeasureSpec(0, MeasureSpec.UNSPECIFIED)
        for (i in 0 until childCount) getChildAt(i).measure(column, free)
        val heights = rows(width).map { row -> row.maxOf { getChildAt(it).measuredHeight } }
        setMeasuredDimension(width, heights.sum() + gap * (heights.size - 1).coerceAtLeast(0))
    }

    override fun onLayout(changed: Boolean, left: Int, top: Int, right: Int, bottom: Int) {
        val step = columnWidth(width) + gap
        var y = 0
        for (row in rows(width)) {
            val height = row.maxOf { getChildAt(it).measuredHeight }
            row.forEachIndexed { place, i ->
                val x = (if (layoutDirection == LAYOUT_DIRECTION_RTL) columns(width) - 1 - place else place) * step
                getChildAt(i).layout(x, y, x + step - gap, y + height)
            }
            y += height + gap
        }
    }

    private fun columns(width: Int) = ((width + gap) / (least + gap)).coerceIn(1, childCount.coerceAtLeast(1))

    private fun columnWidth(width: Int) = columns(width).let { (width - gap * (it - 1)) / it }

    private fun rows(width: Int) = (0 until childCount).chunked(columns(width))
}
