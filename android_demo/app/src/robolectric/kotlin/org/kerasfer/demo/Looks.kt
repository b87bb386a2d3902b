package org.kerasfer.demo

import android.graphics.Bitmap
import android.graphics.Canvas
import android.graphics.Color
import android.view.View
import android.view.ViewGroup
import android.widget.ScrollView
import android.widget.TextView
import java.io.File
import kotlin.math.ceil

/** All views that are on the screen, a sheet's alone where there is one. */
private fun Phone.views(): List<View> {
    val all = ArrayList<View>()
    fun walk(view: View) {
        if (view.visibility != View.VISIBLE) return
        all += view
        if (view is ViewGroup) for (i in 0 until view.childCount) walk(view.getChildAt(i))
    }
    walk((sheet?.window ?: activity.window)!!.decorView)
    return all
}

/** Fails with everything on the screen that a user could not read or hit. */
fun Phone.checkScreen(what: String) {
    idle()
    val faults = views().flatMap { view ->
        listOfNotNull(
            (view as? TextView)?.let(::textFault),
            placeFault(view),
            touchFault(view),
            (view as? PictureView)?.let(::labelFault)
        ).map { "${name(view)}: $it" }
    }
    if (faults.isNotEmpty()) throw AssertionError("$what:\n" + faults.joinToString("\n"))
}

private fun name(view: View): String {
    val id = if (view.id > 0xFFFFFF) view.resources.getResourceEntryName(view.id) else "without id"
    val text = (view as? TextView)?.text?.let { " \"$it\"" }.orEmpty()
    return "${view.javaClass.simpleName} $id$text"
}

private fun textFault(view: TextView): String? {
    if (view.text.isEmpty()) return null
    val layout = view.layout ?: return "has text but no layout"
    val wide = view.width - view.compoundPaddingLeft - view.compoundPaddingRight
    val high = view.height - view.compoundPaddingTop - view.compoundPaddingBottom
    for (line in 0 until layout.lineCount) {
        if (layout.getEllipsisCount(line) > 0) return "ends in an ellipsis"
        if (ceil(layout.getLineMax(line)) >
            wide + 1
        ) {
            return "line $line is ${layout.getLineMax(line)} wide, there are $wide"
        }
        val end = layout.getLineEnd(line)
        if (end < view.text.length && !view.text[end - 1].isWhitespace() && view.text[end - 1] !in "-/_.…") {
            return "a word is broken after \"${view.text.subSequence(layout.getLineStart(line), end)}\""
        }
    }
    if (layout.height > high + 1) return "the text is ${layout.height} high, there are $high"
    return null
}

/** A view that reaches beyond a parent is cut, but where the parent scrolls. */
private fun placeFault(view: View): String? {
    val parent = view.parent as? ViewGroup ?: return null
    if (view.width <= 0 ||
        view.height <= 0
    ) {
        return if (view is TextView && view.text.isNotEmpty()) "has no size" else null
    }
    if (view.left < 0 ||
        view.right > parent.width
    ) {
        return "${view.left}..${view.right} in a parent ${parent.width} wide"
    }
    if (parent is ScrollView) return null
    if (view.top < 0 ||
        view.bottom > parent.height
    ) {
        return "${view.top}..${view.bottom} in a parent ${parent.height} high"
    }
    return null
}

private fun touchFault(view: View): String? {
    if (!view.isClickable || view is ScrollView) return null
    val least = (48 * view.resources.displayMetrics.density).toInt()
    if (view.width < least ||
        view.height < least
    ) {
        return "can be tapped but is ${view.width} x ${view.height} pixels, $least asked for"
    }
    val said = view.contentDescription ?: (view as? TextView)?.text
    return if (said.isNullOrBlank()) "can be tapped but says nothing to TalkBack" else null
}

private fun labelFault(view: PictureView): String? =
    view.labels.firstOrNull { view.labelWidth(it) > view.width }?.let { "the label \"$it\" is wider than the picture" }

/** Writes what is on the screen to the folder of screens. */
fun Phone.shoot(name: String) {
    val folder = File(System.getProperty("screens")!!).apply { mkdirs() }
    val decor = activity.window.decorView
    val bitmap = Bitmap.createBitmap(decor.width, decor.height, Bitmap.Config.ARGB_8888)
    val canvas = Canvas(bitmap)
    decor.draw(canvas)
    sheet?.window?.decorView?.let { above ->
        canvas.drawColor(Color.argb(140, 0, 0, 0))
        // Robolectric has no window manager: the sheet's place is what its gravity asks for.
        canvas.translate((decor.width - above.width) / 2f, (decor.height - above.height).toFloat())
        above.draw(canvas)
    }
    File(folder, "$name.png").outputStream().use { bitmap.compress(Bitmap.CompressFormat.PNG, 100, it) }
}
