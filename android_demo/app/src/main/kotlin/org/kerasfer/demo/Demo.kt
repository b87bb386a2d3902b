package org.kerasfer.demo

import android.content.Context
import android.os.Handler
import android.os.HandlerThread
import android.os.Looper
import org.kerasfer.core.Accelerator
import org.kerasfer.core.Effect
import org.kerasfer.core.EngineException
import org.kerasfer.core.Event
import org.kerasfer.core.FrameGate
import org.kerasfer.core.Handover
import org.kerasfer.core.LatencyStatistics
import org.kerasfer.core.Lens
import org.kerasfer.core.ModelChoice
import org.kerasfer.core.ModelInfo
import org.kerasfer.core.ModelLoader
import org.kerasfer.core.ModelStore
import org.kerasfer.core.Problem
import org.kerasfer.core.ProblemException
import org.kerasfer.core.Recognizer
import org.kerasfer.core.Snapshot
import org.kerasfer.core.State
import org.kerasfer.core.reduce
import java.io.File

/**
 * Runs the app: keeps its state, and does what [reduce] asks for. Outlives the activity when the phone is turned.
 *
 * Events and the state belong to the main thread. Models live on one worker thread, so one runs at a time.
 */
class Demo(private val app: DemoApp) {
    /** What only an activity can do. */
    interface Shell {
        fun show(state: State)

        fun requestPermission()

        fun openSettings()

        fun openPicker()
    }

    private val main = Handler(Looper.getMainLooper())
    private val thread = HandlerThread("models").apply { start() }
    private val work = Handler(thread.looper)
    private val frames = app.frames()
    private val gate = FrameGate()
    private val live = Handover(::Snapshot)
    private val settings = app.getSharedPreferences("choices", Context.MODE_PRIVATE)
    private var camera: FrameSource.Session? = null
    private var closed = false

    // The worker's.
    private val recognizer = Recognizer(app::clock)
    private val latency = LatencyStatistics()
    private val store = ModelStore(app::asset, File(app.cacheDir, "models"), stamp())
    private val loader = ModelLoader(store, app.engines(), app::clock)
    private var found = false
    private var running: ModelInfo? = null

    var state = remembered()
        private set

    /** The activity on the screen. */
    var shell: Shell? = null
        set(value) {
            field = value
            value?.show(state)
        }

    /** The picture of the gallery that is on the screen or being worked on. */
    var photo: Snapshot? = null
        private set

    /** The newest live picture; null while a camera has not delivered any. */
    fun livePicture(): Snapshot? = live.front()

    fun shown(granted: Boolean) {
        frames.watch { send(Event.CameraFreed) }
        send(Event.Shown(granted, frames.lenses()))
    }

    fun hidden() {
        frames.watch(null)
        send(Event.Hidden)
    }

    fun send(event: Event) {
        if (closed) return
        val (next, effects) = reduce(state, event)
        if (next.choices() != state.choices()) remember(next)
        state = next
        effects.forEach(::execute)
        shell?.show(state)
    }

    /** Gives everything back; the camera was closed when the app was hidden. */
    fun close() {
        closed = true
        shell = null
        work.post { recognizer.close() }
        thread.quitSafely()
    }

    private fun execute(effect: Effect) {
        when (effect) {
            Effect.RequestPermission -> shell?.requestPermission()

            Effect.OpenSettings -> shell?.openSettings()

            Effect.OpenPicker -> shell?.openPicker()

            is Effect.OpenCamera -> {
                live.clear()
                camera = frames.open(effect.lens, CameraListener(effect.session))
            }

            is Effect.CloseCamera -> camera?.close()

            Effect.FindModels -> work.post(::findModels)

            is Effect.LoadModel -> work.post { load(effect.choice) }

            is Effect.RecognizePicture -> work.post { recognizePicture(effect) }
        }
    }

    private fun tell(event: Event) {
        main.post { send(event) }
    }

    private inner class CameraListener(private val session: Int) : FrameSource.Listener {
        override fun opened() = tell(Event.CameraOpened(session))

        override fun closed() = tell(Event.CameraClosed(session))

        override fun failed(problem: Problem) = tell(Event.CameraFailed(session, problem))

        override fun frame(frame: HeldFrame) {
            if (!gate.enter()) return frame.close()
            val accepted = work.post {
                try {
                    recognize(frame)
                } finally {
                    frame.close()
                    gate.leave()
                }
            }
            if (!accepted) {
                frame.close()
                gate.leave()
            }
        }

        private fun recognize(frame: HeldFrame) {
            if (newest != session) begin()
            val snapshot = live.back()
            try {
                recognizer.recognize(frame.frame, frame.seconds, snapshot)
            } catch (error: EngineException) {
                running?.let { tell(Event.RunFailed(it.choice, error.message.orEmpty())) }
            }
            live.publish()
            val recognition = snapshot.recognition
            if (recognition.card != null) latency.add(recognition.milliseconds, app.clock() / 1e9)
            tell(Event.FrameRecognized(session, recognition, latency.summary()))
        }

        private fun begin() {
            newest = session
            recognizer.restart()
            latency.reset()
        }
    }

    /** The session whose frames the worker last saw. */
    private var newest = 0

    private fun findModels() {
        try {
            val models = store.models()
            if (!found) recognizer.use(loader.detector())
            found = true
            tell(Event.ModelsFound(models))
        } catch (error: ProblemException) {
            tell(Event.AssetsFailed(error.problem))
        }
    }

    private fun load(choice: ModelChoice) {
        running = null
        recognizer.dropClassifier()
        latency.reset()
        try {
            val loaded = loader.load(choice)
            recognizer.use(loaded.classifier)
            running = loaded.info
            tell(Event.ModelLoaded(loaded.info))
        } catch (error: ProblemException) {
            tell(Event.ModelFailed(choice, error.problem))
        }
    }

    private fun recognizePicture(effect: Effect.RecognizePicture) {
        val snapshot = Snapshot()
        val event = try {
            app.readPhoto(effect.uri, snapshot.image)
            recognizer.recognize(snapshot)
            Event.PictureRecognized(effect.request, snapshot.recognition)
        } catch (error: ProblemException) {
            Event.PictureFailed(effect.request, error.problem)
        } catch (error: EngineException) {
            running?.let { Event.RunFailed(it.choice, error.message.orEmpty()) } ?: return
        }
        main.post {
            photo = snapshot
            send(event)
        }
    }

    /** What another version of the app unpacked is not used. */
    private fun stamp(): String = app.packageManager.getPackageInfo(app.packageName, 0).lastUpdateTime.toString()

    private fun remembered(): State {
        val model = settings.getString(MODEL, null)
        return State(
            lens = Lens.entries.firstOrNull { it.name == settings.getString(LENS, null) } ?: Lens.FRONT,
            wanted = model?.let {
                val gpu = settings.getBoolean(GPU, false)
                ModelChoice(it, if (gpu) Accelerator.GPU else Accelerator.CPU)
            },
            showCrops = settings.getBoolean(CROPS, false)
        )
    }

    private fun State.choices() = Triple(wanted, lens, showCrops)

    private fun remember(state: State) {
        settings.edit()
            .putString(MODEL, state.wanted?.id)
            .putBoolean(GPU, state.wanted?.accelerator == Accelerator.GPU)
            .putString(LENS, state.lens.name)
            .putBoolean(CROPS, state.showCrops)
            .apply()
    }

    private companion object {
        const val MODEL = "model"
        const val GPU = "gpu"
        const val LENS = "lens"
        const val CROPS = "crops"
    }
}
