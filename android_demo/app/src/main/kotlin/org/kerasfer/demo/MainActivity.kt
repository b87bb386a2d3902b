package org.kerasfer.demo

import android.Manifest
import android.app.Activity
import android.content.ActivityNotFoundException
import android.content.Intent
import android.content.pm.PackageManager
import android.net.Uri
import android.os.Build
import android.os.Bundle
import android.provider.MediaStore
import android.provider.Settings
import android.view.View
import android.view.ViewGroup
import android.view.WindowInsets
import android.widget.Button
import android.widget.ImageButton
import android.widget.ImageView
import android.widget.LinearLayout
import android.widget.TextView
import android.widget.Toast
import org.kerasfer.core.Event
import org.kerasfer.core.ModelState
import org.kerasfer.core.Notice
import org.kerasfer.core.Recognition
import org.kerasfer.core.Screen
import org.kerasfer.core.Snapshot
import org.kerasfer.core.Source
import org.kerasfer.core.State

/** The app's only screen: shows the [State], and tells what the user does. */
class MainActivity :
    Activity(),
    Demo.Shell {
    lateinit var demo: Demo
        private set
    private lateinit var picture: PictureView
    private lateinit var message: View
    private lateinit var results: View
    private lateinit var summary: TextView
    private lateinit var notice: View
    private lateinit var noticeText: TextView
    private lateinit var timing: TextView
    private lateinit var faces: CardGrid
    private lateinit var camera: ImageButton
    private val cards = ArrayList<FaceCard>()
    var sheet: Sheet? = null
        private set
    private var dismissed: String? = null
    private var shownPhoto: Snapshot? = null

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        demo = lastNonConfigurationInstance as? Demo ?: Demo(application as DemoApp)
        setContentView(R.layout.main)
        picture = find(R.id.picture)
        message = find(R.id.message)
        results = find(R.id.results)
        summary = find(R.id.summary)
        notice = find(R.id.notice)
        noticeText = find(R.id.notice_text)
        timing = find(R.id.timing)
        faces = find(R.id.faces)
        camera = find(R.id.camera)
        val root = find<LinearLayout>(R.id.root)
        val across = root.orientation == LinearLayout.HORIZONTAL
        find<LinearLayout>(R.id.actions).orientation =
            if (across) LinearLayout.VERTICAL else LinearLayout.HORIZONTAL
        root.setOnApplyWindowInsetsListener(::keepClearOfBars)
        if (resources.configuration.fontScale > LARGE_FONT) scrollTiming()

        click(R.id.photo) { demo.send(Event.PickPicture) }
        click(R.id.camera) { demo.send(if (demo.state.source == Source.Live) Event.SwitchLens else Event.BackToLive) }
        click(R.id.settings) { open(SettingsSheet(this, demo::send)) }
        click(R.id.about) { open(AboutSheet(this)) }
        click(R.id.message_photo) { demo.send(Event.PickPicture) }
        click(R.id.notice_close) {
            dismissed = noticeText.text.toString()
            notice.visibility = View.GONE
        }
        demo.shell = this
        when (savedInstanceState?.getString(SHEET)) {
            SettingsSheet::class.java.name -> open(SettingsSheet(this, demo::send))
            AboutSheet::class.java.name -> open(AboutSheet(this))
        }
    }

    override fun onStart() {
        super.onStart()
        demo.shown(checkSelfPermission(Manifest.permission.CAMERA) == PackageManager.PERMISSION_GRANTED)
    }

    override fun onStop() {
        super.onStop()
        // A phone that is turned keeps its camera: the next activity shows it.
        if (!isChangingConfigurations) demo.hidden()
    }

    override fun onDestroy() {
        super.onDestroy()
        sheet?.dismiss()
        demo.shell = null
        if (!isChangingConfigurations) demo.close()
    }

    override fun onRetainNonConfigurationInstance(): Any = demo

    override fun onSaveInstanceState(outState: Bundle) {
        super.onSaveInstanceState(outState)
        outState.putString(SHEET, sheet?.javaClass?.name)
    }

    override fun show(state: State) {
        when (val screen = state.screen) {
            is Screen.AskPermission -> show(message(screen.permission))
            is Screen.Failure -> show(message(screen.problem, state.models.size))
            is Screen.Live -> show(state, demo.livePicture(), true)
            is Screen.Picture -> show(state, demo.photo.takeIf { screen.recognition != null }, false)
        }
        val live = state.source == Source.Live
        camera.setImageResource(if (live) R.drawable.ic_switch_camera else R.drawable.ic_camera)
        camera.contentDescription = getString(if (live) R.string.switch_camera else R.string.back_to_camera)
        camera.visibility = if (live && !state.canSwitchLens) View.GONE else View.VISIBLE
        sheet?.show(state)
    }

    override fun requestPermission() = requestPermissions(arrayOf(Manifest.permission.CAMERA), PERMISSION)

    override fun openSettings() {
        startActivity(
            Intent(Settings.ACTION_APPLICATION_DETAILS_SETTINGS, Uri.fromParts("package", packageName, null))
        )
    }

    override fun openPicker() {
        for (intent in pickers()) {
            try {
                startActivityForResult(intent, PICTURE)
                return
            } catch (_: ActivityNotFoundException) {
                continue
            }
        }
        Toast.makeText(this, R.string.no_picker, Toast.LENGTH_LONG).show()
    }

    override fun onRequestPermissionsResult(requestCode: Int, permissions: Array<String>, grantResults: IntArray) {
        if (requestCode != PERMISSION) return
        demo.send(
            if (grantResults.isEmpty()) {
                Event.PermissionDismissed
            } else {
                Event.PermissionAnswered(
                    granted = grantResults[0] == PackageManager.PERMISSION_GRANTED,
                    mayAskAgain = shouldShowRequestPermissionRationale(Manifest.permission.CAMERA)
                )
            }
        )
    }

    override fun onActivityResult(requestCode: Int, resultCode: Int, data: Intent?) {
        if (requestCode != PICTURE) return
        demo.send(Event.PicturePicked(data?.data?.takeIf { resultCode == RESULT_OK }?.toString()))
    }

    /** The system's photo picker, which needs no permission, then what older phones have. */
    private fun pickers(): List<Intent> = buildList {
        if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.TIRAMISU) add(Intent(MediaStore.ACTION_PICK_IMAGES))
        add(Intent(Intent.ACTION_OPEN_DOCUMENT).addCategory(Intent.CATEGORY_OPENABLE))
        add(Intent(Intent.ACTION_GET_CONTENT).addCategory(Intent.CATEGORY_OPENABLE))
    }.map { it.setType("image/*") }

    private fun show(content: Message) {
        picture.visibility = View.GONE
        results.visibility = View.GONE
        message.visibility = View.VISIBLE
        find<ImageView>(R.id.message_icon).setImageResource(content.icon)
        find<TextView>(R.id.message_title).update(content.title)
        find<TextView>(R.id.message_text).update(content.text)
        val button = find<Button>(R.id.message_action)
        button.visibility = if (content.button == null) View.GONE else View.VISIBLE
        button.text = content.button
        button.setOnClickListener { act(content.action) }
        find<View>(R.id.message_photo).visibility = if (content.offersPhotos) View.VISIBLE else View.GONE
    }

    private fun act(action: MessageAction) {
        when (action) {
            MessageAction.NONE -> Unit
            MessageAction.ASK -> demo.send(Event.AskPermission)
            MessageAction.OPEN_SETTINGS -> demo.send(Event.OpenSettings)
            MessageAction.RETRY -> demo.send(Event.Retry)
            MessageAction.CHOOSE_MODEL -> open(SettingsSheet(this, demo::send))
            MessageAction.CHOOSE_PHOTO -> demo.send(Event.PickPicture)
        }
    }

    private fun show(state: State, snapshot: Snapshot?, live: Boolean) {
        message.visibility = View.GONE
        results.visibility = View.VISIBLE
        picture.visibility = View.VISIBLE
        val recognition = snapshot?.recognition
        if (snapshot == null || recognition == null) {
            picture.clear()
        } else if (live || snapshot !== shownPhoto) {
            show(snapshot, recognition)
        }
        shownPhoto = snapshot.takeIf { !live }
        val found = recognition?.faces.orEmpty()
        val said = when {
            recognition == null -> getString(if (live) R.string.starting_camera else R.string.reading_photo)

            Notice.LoadingModel in state.notices -> getString(R.string.loading_model)

            recognition.card != null && found.isEmpty() -> getString(
                if (live) R.string.no_face_live else R.string.no_face_photo
            )

            else -> ""
        }
        summary.update(said)
        summary.visibility = if (said.isEmpty()) View.GONE else View.VISIBLE
        val content = if (said.isEmpty()) resources.getQuantityString(R.plurals.faces, found.size, found.size) else said
        picture.contentDescription = getString(if (live) R.string.camera_picture else R.string.photo_picture, content)
        show(recognition, state.showCrops)
        showNotice(state)
        showTiming(state, recognition, live)
    }

    private fun show(snapshot: Snapshot, recognition: Recognition) {
        val card = recognition.card
        val ordered = recognition.ordered()
        val labels = ordered.mapIndexed { i, face ->
            val name = expression(card!!.classes[face.top])
            getString(R.string.mark, i + 1, name, percent(face.probabilities[face.top]))
        }
        picture.show(snapshot.image, ordered, labels)
    }

    private fun show(recognition: Recognition?, showCrops: Boolean) {
        val found = recognition?.ordered().orEmpty()
        while (cards.size < found.size) cards += FaceCard(faces).also { faces.addView(it.view) }
        while (cards.size > found.size) faces.removeView(cards.removeAt(cards.size - 1).view)
        found.forEachIndexed { i, face -> cards[i].show(i + 1, face, recognition!!.card!!, showCrops) }
    }

    private fun showNotice(state: State) {
        val reason = state.notices.firstNotNullOfOrNull { (it as? Notice.Fallback)?.reason }
        val text = reason?.let { getString(R.string.fallback, it) }
        if (text == null) dismissed = null else noticeText.update(text)
        notice.visibility = if (text == null || text == dismissed) View.GONE else View.VISIBLE
    }

    private fun showTiming(state: State, recognition: Recognition?, live: Boolean) {
        val info = (state.model as? ModelState.Ready)?.info
        val latency = state.latency
        val times = if (live) latency?.milliseconds else recognition?.milliseconds
        if (info == null || times == null || recognition?.card == null) {
            timing.visibility = View.GONE
            return
        }
        val where = accelerator(info.running)
        val first = if (live && latency != null && latency.frames > 1) {
            getString(R.string.timing_fps, info.card.name, where, latency.fps)
        } else {
            getString(R.string.timing, info.card.name, where)
        }
        timing.update(first + "\n" + getString(R.string.timing_split, times.detect, times.preprocess, times.infer))
        timing.visibility = View.VISIBLE
    }

    private fun open(next: Sheet) {
        sheet?.dismiss()
        sheet = next
        next.show(demo.state)
        next.setOnDismissListener { if (sheet === next) sheet = null }
        next.show()
    }

    private fun click(id: Int, action: () -> Unit) = find<View>(id).setOnClickListener { action() }

    /** Large, it would leave no room for the faces. */
    private fun scrollTiming() {
        (results as ViewGroup).removeView(timing)
        (faces.parent as ViewGroup).addView(timing)
    }

    // From Android 15 on apps are drawn behind the system's bars; before, these insets are 0.
    private fun keepClearOfBars(view: View, insets: WindowInsets): WindowInsets {
        if (Build.VERSION.SDK_INT < Build.VERSION_CODES.R) return view.onApplyWindowInsets(insets)
        val bars = insets.getInsets(WindowInsets.Type.systemBars() or WindowInsets.Type.displayCutout())
        view.setPadding(bars.left, bars.top, bars.right, bars.bottom)
        return WindowInsets.CONSUMED
    }

    private companion object {
        const val PERMISSION = 1
        const val PICTURE = 2
        const val SHEET = "sheet"
        const val LARGE_FONT = 1.3f
    }
}
