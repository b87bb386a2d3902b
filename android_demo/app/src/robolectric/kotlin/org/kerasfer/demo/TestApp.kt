package org.kerasfer.demo

import android.Manifest
import android.app.Activity
import android.app.Dialog
import android.content.Intent
import android.content.pm.PackageManager
import android.net.Uri
import android.os.Looper
import android.view.View
import android.widget.TextView
import org.kerasfer.core.Accelerator
import org.kerasfer.core.CameraState
import org.kerasfer.core.CropRect
import org.kerasfer.core.Engine
import org.kerasfer.core.EngineException
import org.kerasfer.core.EngineFactory
import org.kerasfer.core.Lens
import org.kerasfer.core.ModelState
import org.kerasfer.core.PictureStage
import org.kerasfer.core.Plane
import org.kerasfer.core.Problem
import org.kerasfer.core.Source
import org.kerasfer.core.YuvFrame
import org.kerasfer.core.mirrored
import org.kerasfer.litert.LiteRtEngine
import org.robolectric.Robolectric
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.android.controller.ActivityController
import java.io.File
import java.io.FileNotFoundException
import java.io.InputStream
import java.nio.ByteBuffer
import java.util.concurrent.CopyOnWriteArrayList
import java.util.concurrent.atomic.AtomicInteger
import java.util.concurrent.atomic.AtomicLong

/** Where `python -m tests.android_assets` wrote. */
val golden = File(System.getProperty("golden")!!)

/** The app on a JVM: frames from files, and the real LiteRT, called through JNA. */
class TestApp : DemoApp() {
    val cameras = FileCameras()
    val engines = Engines()
    private val time = AtomicLong()

    /** Assets that are others: null for one that is missing. */
    val replaced = HashMap<String, File?>()

    /** As if newly installed, on a phone where everything works. */
    fun renew() {
        replaced.clear()
        cameras.renew()
        engines.renew()
        getSharedPreferences("choices", MODE_PRIVATE).edit().clear().commit()
    }

    override fun frames(): FrameSource = cameras

    override fun engines(): EngineFactory = engines

    /** Each look at it takes 4 ms: the same pictures in every run. */
    override fun clock(): Long = time.addAndGet(4_000_000)

    override fun asset(name: String): InputStream {
        val file = if (name in replaced) replaced[name] else File(golden, "assets/$name")
        return (file ?: throw FileNotFoundException(name)).inputStream()
    }
}

/** A phone's cameras, whose frames are files: the camera that is wanted gets a frame when the test says so. */
class FileCameras : FrameSource {
    var lenses = setOf(Lens.FRONT, Lens.BACK)

    /** Why the next cameras do not open. */
    var problem: Problem? = null
    val sessions = CopyOnWriteArrayList<Session>()
    val open: List<Session> get() = sessions.filter { !it.over }
    var freed: (() -> Unit)? = null

    /** The frames that the app has not given back. */
    val held = AtomicInteger()
    private var seconds = 0.0

    fun renew() {
        lenses = setOf(Lens.FRONT, Lens.BACK)
        problem = null
        sessions.clear()
    }

    override fun lenses() = lenses

    override fun watch(freed: (() -> Unit)?) {
        this.freed = freed
    }

    override fun open(lens: Lens, listener: FrameSource.Listener): FrameSource.Session {
        check(open.isEmpty()) { "a camera is opened while another one is open" }
        val session = Session(lens, listener)
        sessions += session
        problem?.let(session::fail) ?: listener.opened()
        return session
    }

    /** Delivers the frame NAME_tall or NAME_wide, as the screen is. */
    fun deliver(name: String, wide: Boolean = false) {
        val session = open.single()
        val bytes = File(golden, "frames/${name}_${if (wide) "wide" else "tall"}.i420").readBytes()
        val (width, height) = 640 to 480
        check(bytes.size == width * height * 3 / 2)
        val plane = { start: Int, size: Int -> ByteBuffer.wrap(bytes.copyOfRange(start, start + size)) }
        val quarter = width * height / 4
        val frame = YuvFrame(
            Plane(plane(0, 4 * quarter), width, 1),
            Plane(plane(4 * quarter, quarter), width / 2, 1),
            Plane(plane(5 * quarter, quarter), width / 2, 1),
            CropRect(0, 0, width, height),
            rotation = if (wide) 0 else 90,
            mirrored = mirrored(session.lens),
            fullRange = false
        )
        seconds += 1
        held.incrementAndGet()
        session.listener.frame(HeldFrame(frame, seconds) { held.decrementAndGet() })
    }

    inner class Session(val lens: Lens, val listener: FrameSource.Listener) : FrameSource.Session {
        var over = false
            private set

        override fun close() {
            check(!over) { "a camera is closed twice" }
            over = true
            listener.closed()
        }

        fun fail(problem: Problem) {
            over = true
            listener.failed(problem)
        }
    }
}

/** LiteRT, counted, with a GPU that is LiteRT on the CPU and may be told to fail. */
class Engines : EngineFactory {
    enum class Gpu { WORKS, MISSING, WRONG }

    var gpu = Gpu.WORKS

    /** Once true, the GPU fails whenever it runs. */
    @Volatile
    var gpuFails = false

    /** Held up before each run. */
    @Volatile
    var slow: (() -> Unit)? = null
    val opened = AtomicInteger()
    val closed = AtomicInteger()
    val running = AtomicInteger()
    val mostRunning = AtomicInteger()

    fun renew() {
        gpu = Gpu.WORKS
        gpuFails = false
        slow = null
    }

    override fun open(model: File, accelerator: Accelerator): Engine {
        if (accelerator == Accelerator.GPU &&
            gpu == Gpu.MISSING
        ) {
            throw EngineException("this phone has no GPU for LiteRT")
        }
        return Counted(LiteRtEngine(model), accelerator).also { opened.incrementAndGet() }
    }

    private inner class Counted(private val engine: Engine, override val accelerator: Accelerator) : Engine by engine {
        private var over = false

        override fun run(input: ByteArray, outputs: List<FloatArray>) = counted(outputs) { engine.run(input, outputs) }

        override fun run(input: FloatArray, outputs: List<FloatArray>) = counted(outputs) { engine.run(input, outputs) }

        override fun close() {
            check(!over) { "a model is closed twice" }
            over = true
            closed.incrementAndGet()
            engine.close()
        }

        private fun counted(outputs: List<FloatArray>, run: () -> Unit) {
            check(!over) { "a closed model is run" }
            mostRunning.accumulateAndGet(running.incrementAndGet(), ::maxOf)
            try {
                slow?.invoke()
                if (accelerator == Accelerator.GPU && gpuFails) throw EngineException("the GPU lost its context")
                run()
                if (accelerator == Accelerator.GPU && gpu == Gpu.WRONG) outputs[0].reverse()
            } finally {
                running.decrementAndGet()
            }
        }
    }
}

/** How a phone is set up. */
enum class Look(private val qualifiers: String, private val fontScale: Float = 1f) {
    LIGHT("w411dp-h891dp-port-notnight-xhdpi"),
    DARK("w411dp-h891dp-port-night-xhdpi"),
    LANDSCAPE("w891dp-h411dp-land-notnight-xhdpi"),
    LARGE("w360dp-h740dp-port-notnight-xhdpi", 2f),
    LARGE_LANDSCAPE("w740dp-h360dp-land-night-xhdpi", 2f);

    val wide: Boolean get() = "-land" in qualifiers

    fun apply() {
        RuntimeEnvironment.setQualifiers(qualifiers)
        RuntimeEnvironment.setFontScale(fontScale)
    }
}

val app: TestApp get() = RuntimeEnvironment.getApplication() as TestApp

/** The app started by a user who had allowed the camera before, or not. */
class Phone(private val look: Look = Look.LIGHT, granted: Boolean = true) : AutoCloseable {
    private val controller: ActivityController<MainActivity>

    init {
        look.apply()
        if (granted) grant() else shadowOf(app).denyPermissions(Manifest.permission.CAMERA)
        controller = Robolectric.buildActivity(MainActivity::class.java).setup()
    }

    val activity: MainActivity get() = controller.get()
    val demo: Demo get() = activity.demo
    val sheet: Dialog? get() = activity.sheet

    fun grant() = shadowOf(app).grantPermissions(Manifest.permission.CAMERA)

    fun <T : View> view(id: Int): T = sheet?.findViewById<T>(id) ?: activity.find(id)

    fun click(id: Int) {
        val view = view<View>(id)
        check(view.isShown) { "what is clicked is not on the screen" }
        check(view.performClick())
        idle()
    }

    /** Delivers a frame and waits until the screen shows it. */
    fun see(name: String) {
        until("a model and a camera") { demo.ready && demo.cameraOpen }
        val before = demo.state.recognition
        app.cameras.deliver(name, look.wide)
        until("the frame on the screen") {
            demo.state.recognition.let { it != null && it !== before && it.card != null }
        }
    }

    /** Answers the system's question. */
    fun answer(granted: Boolean, mayAskAgain: Boolean = true) {
        shadowOf(app.packageManager).setShouldShowRequestPermissionRationale(Manifest.permission.CAMERA, mayAskAgain)
        if (granted) grant()
        val result = if (granted) PackageManager.PERMISSION_GRANTED else PackageManager.PERMISSION_DENIED
        activity.onRequestPermissionsResult(1, arrayOf(Manifest.permission.CAMERA), intArrayOf(result))
        idle()
    }

    /** Chooses a photo of the folder of photos with the system's picker, and waits until it was looked at. */
    fun pick(file: String) {
        until("a model") { demo.ready }
        click(R.id.photo)
        answerPicker(Uri.parse("content://gallery/$file"))
        until("the photo") {
            val stage = (demo.state.source as? Source.Picture)?.stage
            stage is PictureStage.Done || stage is PictureStage.Failed
        }
    }

    /** @param uri null where the user went back without choosing. */
    fun answerPicker(uri: Uri?) {
        uri?.let { chosen ->
            shadowOf(app.contentResolver).registerInputStreamSupplier(chosen) {
                File(golden, "photos/${chosen.lastPathSegment}").inputStream()
            }
        }
        val asked = shadowOf(activity).nextStartedActivityForResult.intent
        val result = if (uri == null) Activity.RESULT_CANCELED else Activity.RESULT_OK
        shadowOf(activity).receiveResult(asked, result, uri?.let { Intent().setData(it) })
        idle()
    }

    fun text(id: Int): String = view<TextView>(id).text.toString()

    fun hide() {
        controller.pause().stop()
        idle()
    }

    fun showAgain() {
        controller.restart().start().resume()
        idle()
    }

    fun turn(to: Look) {
        to.apply()
        controller.configurationChange()
        idle()
    }

    override fun close() {
        controller.pause().stop().destroy()
        until("all models closed") { app.engines.closed.get() == app.engines.opened.get() }
        check(app.cameras.open.isEmpty()) { "the camera is still open" }
        check(app.cameras.held.get() == 0) { "frames were not given back" }
    }
}

fun idle() = shadowOf(Looper.getMainLooper()).idle()

/** Runs the main thread until the condition holds. */
fun until(what: String, condition: () -> Boolean) {
    val end = System.nanoTime() + 120_000_000_000
    while (true) {
        idle()
        if (condition()) return
        check(System.nanoTime() < end) { "waited in vain for $what" }
        Thread.sleep(2)
    }
}

val Demo.ready: Boolean get() = state.model is ModelState.Ready

val Demo.cameraOpen: Boolean get() = state.camera is CameraState.Open
