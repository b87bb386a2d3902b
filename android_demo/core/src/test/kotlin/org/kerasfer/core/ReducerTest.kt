package org.kerasfer.core

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import kotlin.random.Random

class ReducerTest {
    private val both = setOf(Lens.FRONT, Lens.BACK)
    private val models = listOf(ModelEntry("a", "A", 1), ModelEntry("b", "B", 2))
    private val cpu = ModelChoice("a", Accelerator.CPU)
    private val gpu = ModelChoice("a", Accelerator.GPU)
    private val recognition = Recognition(emptyList(), card(), Milliseconds(1.0, 1.0, 1.0))
    private val latency = Latency(recognition.milliseconds, 20.0, 2)

    /** The app as a test sees it: the state, and what was asked for since the last look. */
    private class App(var state: State = State()) {
        private val asked = ArrayList<Effect>()

        fun send(vararg events: Event) {
            for (event in events) {
                val next = reduce(state, event)
                state = next.state
                asked += next.effects
            }
        }

        fun effects(): List<Effect> = asked.toList().also { asked.clear() }
    }

    private fun info(choice: ModelChoice, running: Accelerator = choice.accelerator, fallback: String? = null) =
        ModelInfo(choice, card(), running, SelfTest(0.0, 1.0), fallback)

    /** A camera that runs and a model that is ready. */
    private fun live() = App().apply {
        send(Event.Shown(true, both), Event.ModelsFound(models), Event.ModelLoaded(info(cpu)))
        send(Event.CameraOpened(1), Event.FrameRecognized(1, recognition, latency))
        effects()
    }

    @Test
    fun `the start asks for nothing but the models, and says why it will ask`() {
        val app = App()
        app.send(Event.Shown(false, both))
        assertEquals(listOf(Effect.FindModels), app.effects())
        assertEquals(Screen.AskPermission(Permission.UNASKED), app.state.screen)
    }

    @Test
    fun `permission is asked once at a time, and granted opens the camera`() {
        val app = App()
        app.send(Event.Shown(false, both), Event.AskPermission, Event.AskPermission)
        assertEquals(listOf(Effect.FindModels, Effect.RequestPermission), app.effects())
        assertEquals(Screen.AskPermission(Permission.ASKED), app.state.screen)
        app.send(Event.PermissionAnswered(granted = true, mayAskAgain = true))
        assertEquals(listOf(Effect.OpenCamera(1, Lens.FRONT)), app.effects())
        assertEquals(Screen.Live(null), app.state.screen)
    }

    @Test
    fun `denied may be asked again, denied for good leads to the settings`() {
        val app = App()
        app.send(Event.Shown(false, both), Event.AskPermission, Event.PermissionAnswered(false, mayAskAgain = true))
        assertEquals(Screen.AskPermission(Permission.DENIED), app.state.screen)
        app.effects()
        app.send(Event.AskPermission)
        assertEquals(listOf(Effect.RequestPermission), app.effects())
        app.send(Event.PermissionAnswered(false, mayAskAgain = false), Event.AskPermission, Event.OpenSettings)
        assertEquals(Screen.AskPermission(Permission.DENIED_FOR_GOOD), app.state.screen)
        assertEquals(listOf(Effect.OpenSettings), app.effects())
        app.send(Event.Hidden, Event.Shown(true, both))
        assertTrue(Effect.OpenCamera(1, Lens.FRONT) in app.effects())
    }

    @Test
    fun `a question that went away may be asked again, a permission that was taken back too`() {
        val app = App()
        app.send(Event.Shown(false, both), Event.AskPermission, Event.PermissionDismissed)
        assertEquals(Permission.UNASKED, app.state.permission)
        val other = live()
        other.send(Event.Hidden, Event.CameraClosed(1), Event.Shown(false, both))
        assertEquals(Screen.AskPermission(Permission.UNASKED), other.state.screen)
        assertFalse(other.effects().any { it is Effect.OpenCamera })
    }

    @Test
    fun `live shows the newest frame's faces, and says when there is none`() {
        val app = live()
        assertEquals(Screen.Live(recognition), app.state.screen)
        assertEquals(listOf(Notice.NoFace), app.state.notices)
        assertEquals(latency, app.state.latency)
        app.send(Event.FrameRecognized(7, recognition.copy(card = null), latency))
        assertEquals(Screen.Live(recognition), app.state.screen)
    }

    @Test
    fun `the lens changes when the first camera is closed`() {
        val app = live()
        app.send(Event.SwitchLens)
        assertEquals(listOf(Effect.CloseCamera(1)), app.effects())
        assertEquals(Screen.Live(null), app.state.screen)
        app.send(Event.SwitchLens, Event.SwitchLens)
        assertEquals(emptyList<Effect>(), app.effects())
        app.send(Event.CameraClosed(1))
        assertEquals(listOf(Effect.OpenCamera(2, Lens.BACK)), app.effects())
        app.send(Event.FrameRecognized(1, recognition, latency))
        assertNull(app.state.recognition)
    }

    @Test
    fun `with one lens there is nothing to switch, with none there is no camera`() {
        val app = App()
        app.send(Event.Shown(true, setOf(Lens.BACK)))
        assertTrue(Effect.OpenCamera(1, Lens.BACK) in app.effects())
        app.send(Event.SwitchLens)
        assertEquals(emptyList<Effect>(), app.effects())
        val none = App()
        none.send(Event.Shown(true, emptySet()))
        assertEquals(Screen.Failure(Problem.NoCamera), none.state.screen)
    }

    @Test
    fun `the background closes the camera, and a quick return opens it once`() {
        val app = live()
        app.send(Event.Hidden, Event.Shown(true, both), Event.Hidden, Event.Shown(true, both))
        assertEquals(listOf(Effect.CloseCamera(1)), app.effects())
        app.send(Event.CameraClosed(1))
        assertEquals(listOf(Effect.OpenCamera(2, Lens.FRONT)), app.effects())
        app.send(Event.Hidden)
        assertEquals(listOf(Effect.CloseCamera(2)), app.effects())
        app.send(Event.CameraOpened(2), Event.CameraClosed(2))
        assertEquals(CameraState.Closed, app.state.camera)
        assertEquals(emptyList<Effect>(), app.effects())
    }

    @Test
    fun `a camera that is in use or gone is told, and comes back by itself, by hand or on return`() {
        val again = listOf(
            listOf(Event.CameraFreed),
            listOf(Event.Retry),
            listOf(Event.SwitchLens),
            listOf(Event.Hidden, Event.Shown(true, both))
        )
        for (problem in listOf(Problem.CameraInUse, Problem.CameraDisconnected)) {
            for (events in again) {
                val app = live()
                app.send(Event.CameraFailed(1, problem))
                assertEquals(Screen.Failure(problem), app.state.screen)
                app.send(Event.CameraFailed(1, problem), Event.CameraClosed(1))
                assertEquals(emptyList<Effect>(), app.effects())
                app.send(*events.toTypedArray())
                assertEquals(1, app.effects().count { it is Effect.OpenCamera })
            }
        }
        val app = live()
        app.send(Event.CameraFailed(1, Problem.CameraFailed("3")), Event.CameraFreed)
        assertEquals(Screen.Failure(Problem.CameraFailed("3")), app.state.screen)
    }

    @Test
    fun `a camera that fails while it closes is closed`() {
        val app = live()
        app.send(Event.SwitchLens, Event.CameraFailed(1, Problem.CameraDisconnected))
        assertEquals(Effect.OpenCamera(2, Lens.BACK), app.effects().last())
    }

    @Test
    fun `models load one after another`() {
        val app = live()
        app.send(Event.ChooseModel("b"), Event.ChooseModel("a"), Event.ChooseAccelerator(Accelerator.GPU))
        val b = ModelChoice("b", Accelerator.CPU)
        assertEquals(listOf(Effect.LoadModel(b)), app.effects())
        assertEquals(listOf(Notice.LoadingModel, Notice.NoFace), app.state.notices)
        app.send(Event.ModelLoaded(info(b)))
        assertEquals(listOf(Effect.LoadModel(gpu)), app.effects())
        app.send(Event.ModelLoaded(info(b)), Event.ModelLoaded(info(gpu, Accelerator.CPU, "no driver")))
        assertEquals(emptyList<Effect>(), app.effects())
        assertEquals(listOf<Notice>(Notice.Fallback("no driver")), app.state.notices)
        app.send(Event.ChooseModel("unknown"))
        assertEquals(gpu, app.state.wanted)
    }

    @Test
    fun `a GPU that fails while it runs is given up for the CPU, which is said`() {
        val app = live()
        app.send(Event.ChooseAccelerator(Accelerator.GPU), Event.ModelLoaded(info(gpu)))
        app.effects()
        app.send(Event.RunFailed(gpu, "device lost"), Event.RunFailed(gpu, "device lost"))
        assertEquals(listOf(Effect.LoadModel(cpu)), app.effects())
        app.send(Event.ModelLoaded(info(cpu)))
        assertEquals(listOf<Notice>(Notice.Fallback("device lost")), app.state.notices)
        app.send(Event.ChooseAccelerator(Accelerator.GPU))
        assertEquals(listOf(Effect.LoadModel(gpu)), app.effects())
        assertFalse(app.state.notices.any { it is Notice.Fallback })
    }

    @Test
    fun `a model that fails on the CPU is told, and another one helps`() {
        val app = live()
        app.send(Event.RunFailed(cpu, "NaN"))
        assertEquals(Screen.Failure(Problem.BrokenModel("a", "NaN")), app.state.screen)
        app.send(Event.Retry)
        assertEquals(listOf(Effect.LoadModel(cpu)), app.effects())
        app.send(Event.ModelFailed(cpu, Problem.BrokenCard("a.tflite", "it lacks classes")))
        assertEquals(Screen.Failure(Problem.BrokenCard("a.tflite", "it lacks classes")), app.state.screen)
        app.send(Event.ChooseModel("b"), Event.ModelLoaded(info(ModelChoice("b", Accelerator.CPU))))
        assertEquals(Screen.Live(null), app.state.screen)
    }

    @Test
    fun `missing assets are told and looked for again`() {
        val app = App()
        app.send(Event.Shown(true, both), Event.AssetsFailed(Problem.MissingAsset("models/index.json")))
        assertEquals(Screen.Failure(Problem.MissingAsset("models/index.json")), app.state.screen)
        app.effects()
        app.send(Event.Retry)
        assertEquals(listOf(Effect.FindModels), app.effects())
    }

    @Test
    fun `a picture closes the camera, is recognised, and again by another model`() {
        val app = live()
        app.send(Event.PickPicture, Event.PicturePicked(null))
        assertEquals(listOf(Effect.OpenPicker), app.effects())
        app.send(Event.PicturePicked("content://1"))
        assertEquals(listOf(Effect.CloseCamera(1), Effect.RecognizePicture(2, "content://1")), app.effects())
        assertEquals(Screen.Picture(null), app.state.screen)
        app.send(Event.CameraClosed(1), Event.PictureRecognized(2, recognition))
        assertEquals(Screen.Picture(recognition), app.state.screen)
        assertEquals(listOf<Notice>(Notice.NoFace), app.state.notices)
        app.send(Event.ChooseModel("b"), Event.ModelLoaded(info(ModelChoice("b", Accelerator.CPU))))
        assertEquals(Effect.RecognizePicture(3, "content://1"), app.effects().last())
        app.send(Event.PictureRecognized(2, recognition))
        assertEquals(Screen.Picture(null), app.state.screen)
        app.send(Event.BackToLive)
        assertEquals(listOf(Effect.OpenCamera(4, Lens.FRONT)), app.effects())
    }

    @Test
    fun `a picture waits for a model, needs no camera, and may be broken`() {
        val app = App()
        app.send(Event.Shown(false, both), Event.PicturePicked("content://1"), Event.ModelsFound(models))
        assertEquals(listOf(Effect.FindModels, Effect.LoadModel(cpu)), app.effects())
        app.send(Event.ModelLoaded(info(cpu)))
        assertEquals(listOf(Effect.RecognizePicture(1, "content://1")), app.effects())
        app.send(Event.PictureFailed(1, Problem.UnreadablePicture("0 bytes")))
        assertEquals(Screen.Failure(Problem.UnreadablePicture("0 bytes")), app.state.screen)
        app.send(Event.Retry)
        assertEquals(listOf(Effect.RecognizePicture(2, "content://1")), app.effects())
        app.send(Event.PicturePicked("content://2"))
        assertEquals(listOf(Effect.RecognizePicture(3, "content://2")), app.effects())
        app.send(Event.BackToLive)
        assertEquals(Screen.AskPermission(Permission.UNASKED), app.state.screen)
    }

    @Test
    fun `crops are shown when asked for`() {
        val app = live()
        app.send(Event.ToggleCrops)
        assertTrue(app.state.showCrops)
        app.send(Event.ToggleCrops)
        assertFalse(app.state.showCrops)
    }

    /**
     * Whatever happens in whatever order: never two cameras, never two models being loaded, no answer without a
     * question, and once everything is answered the camera is open exactly where it should be.
     */
    @Test
    fun `no camera is lost or doubled in any order of events`() {
        repeat(2000) { seed ->
            val random = Random(seed)
            val app = App()
            val world = World(random)
            repeat(80) {
                world.execute(app.effects())
                app.send(
                    if (world.due.isNotEmpty() &&
                        random.nextBoolean()
                    ) {
                        world.answer()
                    } else {
                        world.happen(app.state)
                    }
                )
            }
            repeat(200) {
                world.execute(app.effects())
                if (world.due.isNotEmpty()) app.send(world.answer())
            }
            assertEquals(0, world.due.size, "seed $seed does not settle")
            val state = app.state
            val should = state.visible && state.permission == Permission.GRANTED && state.source == Source.Live
            val open = world.open?.second
            if (state.camera is CameraState.Failed || state.lenses?.contains(state.lens) != true) {
                assertNull(open, "seed $seed")
            } else {
                assertEquals(if (should) state.lens else null, open, "seed $seed")
            }
            if (state.wanted != null) {
                assertTrue(state.model is ModelState.Ready || state.model is ModelState.Failed, "seed $seed")
            }
        }
    }

    /** Phone, user and files, as unruly as they are. */
    private inner class World(private val random: Random) {
        val due = ArrayList<Event>()
        var open: Pair<Int, Lens>? = null
        private var loading = false
        private var used = 0

        fun execute(effects: List<Effect>) = effects.forEach { effect ->
            when (effect) {
                is Effect.OpenCamera -> {
                    assertNull(open, "a second camera")
                    assertTrue(effect.session > used, "a session's number is used twice")
                    used = effect.session
                    open = effect.session to effect.lens
                    if (random.nextInt(5) == 0) {
                        due += Event.CameraFailed(effect.session, Problem.CameraInUse)
                    } else {
                        due += Event.CameraOpened(effect.session)
                    }
                }

                is Effect.CloseCamera -> {
                    // A session that has failed on its own meanwhile answers with that instead.
                    val failing = due.any { it is Event.CameraFailed && it.session == effect.session }
                    assertTrue(failing || open?.first == effect.session, "a camera that is not open is closed")
                    if (!failing) due += Event.CameraClosed(effect.session)
                }

                is Effect.LoadModel -> {
                    assertFalse(loading, "two models at once")
                    loading = true
                    due += if (random.nextInt(4) == 0) {
                        Event.ModelFailed(effect.choice, Problem.BrokenModel(effect.choice.id, "x"))
                    } else {
                        Event.ModelLoaded(info(effect.choice))
                    }
                }

                is Effect.FindModels ->
                    due += if (random.nextInt(4) == 0) {
                        Event.AssetsFailed(Problem.MissingAsset("x"))
                    } else {
                        Event.ModelsFound(models)
                    }

                is Effect.RecognizePicture -> due += Event.PictureRecognized(effect.request, recognition)

                Effect.RequestPermission -> due += Event.PermissionAnswered(random.nextBoolean(), random.nextBoolean())

                Effect.OpenPicker -> due += Event.PicturePicked(if (random.nextBoolean()) "content://1" else null)

                Effect.OpenSettings -> Unit
            }
        }

        fun answer(): Event {
            // What comes of one camera comes in its order.
            val event = due.first { candidate ->
                random.nextInt(3) == 0 || candidate == due.last() || candidate.isOfCamera
            }
            due.remove(event)
            when (event) {
                is Event.CameraClosed -> if (open?.first == event.session) open = null
                is Event.CameraFailed -> if (open?.first == event.session) open = null
                is Event.ModelLoaded, is Event.ModelFailed -> loading = false
                else -> Unit
            }
            return event
        }

        fun happen(state: State): Event {
            val session = open?.first ?: 0
            val settled = due.none { it.isOfCamera }
            return when (random.nextInt(14)) {
                0, 1 -> Event.Shown(random.nextInt(3) > 0, both)

                2 -> Event.Hidden

                3, 4 -> Event.SwitchLens

                5 -> Event.AskPermission

                6 -> Event.ChooseModel(if (random.nextBoolean()) "a" else "b")

                7 -> Event.ChooseAccelerator(if (random.nextBoolean()) Accelerator.CPU else Accelerator.GPU)

                8 -> if (open != null && settled && state.camera is CameraState.Open) {
                    open = null
                    Event.CameraFailed(session, Problem.CameraDisconnected)
                } else {
                    Event.CameraFreed
                }

                9 -> Event.PickPicture

                10 -> Event.BackToLive

                11 -> Event.Retry

                12 -> Event.RunFailed(state.wanted ?: cpu, "lost")

                else -> Event.FrameRecognized(session, recognition, latency)
            }
        }

        private val Event.isOfCamera
            get() = this is Event.CameraOpened || this is Event.CameraClosed || this is Event.CameraFailed
    }
}
