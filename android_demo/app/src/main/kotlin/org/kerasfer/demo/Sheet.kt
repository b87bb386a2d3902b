package org.kerasfer.demo

import android.app.Activity
import android.app.Dialog
import android.view.Gravity
import android.view.View
import android.view.ViewGroup
import android.view.WindowManager
import android.widget.Button
import android.widget.RadioButton
import android.widget.RadioGroup
import android.widget.ScrollView
import android.widget.Switch
import android.widget.TextView
import org.kerasfer.core.Accelerator
import org.kerasfer.core.Event
import org.kerasfer.core.ModelEntry
import org.kerasfer.core.ModelState
import org.kerasfer.core.Notice
import org.kerasfer.core.State

/** A dialog that comes from below. */
abstract class Sheet(activity: Activity, title: Int, layout: Int) : Dialog(activity, R.style.Theme_Demo_Sheet) {
    init {
        setContentView(R.layout.sheet)
        setTitle(title)
        find<TextView>(R.id.sheet_title).setText(title)
        layoutInflater.inflate(layout, find<ScrollView>(R.id.sheet_content))
        find<Button>(R.id.sheet_done).setOnClickListener { dismiss() }
        window!!.apply {
            setGravity(Gravity.BOTTOM or Gravity.CENTER_HORIZONTAL)
            val widest = context.resources.getDimensionPixelSize(R.dimen.sheet_width)
            val screen = context.resources.displayMetrics.widthPixels
            setLayout(
                if (screen >
                    widest
                ) {
                    widest
                } else {
                    ViewGroup.LayoutParams.MATCH_PARENT
                },
                WindowManager.LayoutParams.WRAP_CONTENT
            )
        }
    }

    abstract fun show(state: State)
}

/** Model, accelerator, and what to show. */
class SettingsSheet(activity: Activity, private val send: (Event) -> Unit) :
    Sheet(activity, R.string.settings, R.layout.settings) {
    private val models: RadioGroup = find(R.id.settings_models)
    private val accelerators: RadioGroup = find(R.id.settings_accelerators)
    private val selfTest: TextView = find(R.id.settings_self_test)
    private val crops: Switch = find(R.id.settings_crops)
    private var entries: List<ModelEntry> = emptyList()

    init {
        choice(R.id.settings_cpu) { send(Event.ChooseAccelerator(Accelerator.CPU)) }
        choice(R.id.settings_gpu) { send(Event.ChooseAccelerator(Accelerator.GPU)) }
        crops.setOnClickListener { send(Event.ToggleCrops) }
    }

    override fun show(state: State) {
        if (entries != state.models) {
            entries = state.models
            models.removeAllViews()
            entries.forEach(::addModel)
        }
        val wanted = state.wanted
        (0 until models.childCount).forEach { i ->
            (models.getChildAt(i) as RadioButton).isChecked = entries[i].id == wanted?.id
        }
        accelerators.check(if (wanted?.accelerator == Accelerator.GPU) R.id.settings_gpu else R.id.settings_cpu)
        crops.isChecked = state.showCrops
        selfTest.update(report(state))
        selfTest.visibility = if (selfTest.text.isEmpty()) View.GONE else View.VISIBLE
    }

    private fun addModel(entry: ModelEntry) {
        val button = layoutInflater.inflate(R.layout.choice, models, false) as RadioButton
        button.id = View.generateViewId()
        button.text = context.getString(R.string.model, entry.name, entry.bytes / 1e6)
        button.setOnClickListener { send(Event.ChooseModel(entry.id)) }
        models.addView(button)
    }

    private fun report(state: State): String {
        val info = (state.model as? ModelState.Ready)?.info
            ?: return if (state.model is ModelState.Loading) context.getString(R.string.loading_model) else ""
        val test = context.getString(
            R.string.self_test,
            context.accelerator(info.running),
            info.selfTest.difference,
            info.selfTest.milliseconds
        )
        val fallback = state.notices.firstNotNullOfOrNull { (it as? Notice.Fallback)?.reason }
        return if (fallback == null) test else context.getString(R.string.fallback, fallback) + "\n" + test
    }

    private fun choice(id: Int, action: () -> Unit) = find<View>(id).setOnClickListener { action() }
}

/** What the app does, and what it cannot. */
class AboutSheet(activity: Activity) : Sheet(activity, R.string.about, R.layout.about) {
    private val model: TextView = find(R.id.about_model)

    override fun show(state: State) {
        val card = (state.model as? ModelState.Ready)?.info?.card
        find<View>(R.id.about_model_title).visibility = if (card == null) View.GONE else View.VISIBLE
        model.visibility = if (card == null) View.GONE else View.VISIBLE
        if (card == null) return
        val lines = ArrayList<String>()
        lines += context.getString(R.string.about_model, card.name, card.version, card.licence)
        card.accuracy?.let { share ->
            card.accuracyOn?.let { lines += context.getString(R.string.about_accuracy, 100 * share, it) }
        }
        if (card.limits.isNotEmpty()) lines += card.limits
        model.update(lines.joinToString("\n\n"))
    }
}
