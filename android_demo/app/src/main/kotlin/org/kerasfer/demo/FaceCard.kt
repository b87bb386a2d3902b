package org.kerasfer.demo

import android.content.Context
import android.graphics.Bitmap
import android.graphics.Typeface
import android.text.TextPaint
import android.view.LayoutInflater
import android.view.View
import android.widget.ImageView
import android.widget.LinearLayout
import android.widget.TextView
import org.kerasfer.core.Card
import org.kerasfer.core.FaceExpression
import org.kerasfer.core.Recognition
import org.kerasfer.core.rgbToArgb
import kotlin.math.ceil
import kotlin.math.roundToInt

private val NAMES = mapOf(
    "neutral" to R.string.neutral,
    "happiness" to R.string.happiness,
    "sadness" to R.string.sadness,
    "surprise" to R.string.surprise,
    "fear" to R.string.fear,
    "disgust" to R.string.disgust,
    "anger" to R.string.anger,
    "contempt" to R.string.contempt
)

/** What people call a class of a model; a model's own classes keep their names. */
fun Context.expression(name: String): String = NAMES[name]?.let(::getString) ?: name

fun Context.percent(share: Float): String = getString(R.string.percent, (100 * share).roundToInt())

/** Faces in an order that stays: by when they came in a video, from left to right in a photo. */
fun Recognition.ordered(): List<FaceExpression> =
    if (faces.all { it.track != null }) faces.sortedBy { it.track } else faces.sortedBy { it.face.box.x }

/** One face: its number, its likeliest expression, and a bar for every one. */
class FaceCard(private val parent: CardGrid) {
    private val context = parent.context
    private val inflater = LayoutInflater.from(context)
    val view: View = inflater.inflate(R.layout.face, parent, false)
    private val number: TextView = view.find(R.id.face_number)
    private val expression: TextView = view.find(R.id.face_expression)
    private val crop: ImageView = view.find(R.id.face_crop)
    private val bars: LinearLayout = view.find(R.id.face_bars)
    private val rows = ArrayList<Row>()
    private var shown: List<String> = emptyList()
    private var pixels = IntArray(0)
    private var bitmap: Bitmap? = null

    private class Row(view: View) {
        val name: TextView = view.find(R.id.bar_name)
        val bar: BarView = view.find(R.id.bar)
        val percent: TextView = view.find(R.id.bar_percent)
    }

    /** @param position counted from 1. */
    fun show(position: Int, face: FaceExpression, card: Card, showCrop: Boolean) {
        val names = card.classes.map(context::expression)
        if (names != shown) makeRows(names)
        number.update(position.toString())
        expression.update(names[face.top])
        rows.forEachIndexed { i, row ->
            val share = face.probabilities[i]
            val top = i == face.top
            row.percent.update(context.percent(share))
            row.bar.show(share, top)
            // Bold as well as coloured: colour alone is no sign.
            row.name.typeface = if (top) Typeface.DEFAULT_BOLD else Typeface.DEFAULT
            row.percent.typeface = row.name.typeface
        }
        val said = face.probabilities.indices.sortedByDescending { face.probabilities[it] }.joinToString { i ->
            context.getString(R.string.face_part, names[i], context.percent(face.probabilities[i]))
        }
        view.contentDescription = context.getString(R.string.face, position, said)
        crop.visibility = if (showCrop) View.VISIBLE else View.GONE
        if (showCrop) showCrop(position, face.crop, card.inputSize)
    }

    /** Rows whose names and numbers keep their places, wide enough for the longest, whatever the font's size. */
    private fun makeRows(names: List<String>) {
        shown = names
        bars.removeAllViews()
        rows.clear()
        names.forEach { name ->
            val row = inflater.inflate(R.layout.bar, bars, false)
            bars.addView(row)
            rows += Row(row).apply { this.name.text = name }
        }
        val paint = TextPaint(rows[0].name.paint).apply { typeface = Typeface.DEFAULT_BOLD }
        val nameWidth = ceil(names.maxOf(paint::measureText)).toInt() + 1
        val percentWidth = ceil(paint.measureText(context.percent(1f))).toInt() + 1
        rows.forEach { row ->
            row.name.layoutParams.width = nameWidth
            row.percent.layoutParams.width = percentWidth
        }
        parent.least = nameWidth + percentWidth + context.resources.getDimensionPixelSize(R.dimen.card_rest)
    }

    private fun showCrop(position: Int, rgb: ByteArray, size: Int) {
        if (pixels.size != size * size) pixels = IntArray(size * size)
        rgbToArgb(rgb, pixels, size * size)
        val target = bitmap?.takeIf { it.width == size } ?: Bitmap.createBitmap(size, size, Bitmap.Config.ARGB_8888)
        target.setPixels(pixels, 0, size, 0, 0, size, size)
        if (target !== bitmap) crop.setImageBitmap(target) else crop.invalidate()
        bitmap = target
        crop.contentDescription = context.getString(R.string.crop, position)
    }
}
