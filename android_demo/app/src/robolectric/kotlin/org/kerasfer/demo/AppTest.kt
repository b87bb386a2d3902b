package org.kerasfer.demo

import android.net.Uri
import android.provider.MediaStore
import android.provider.Settings
import android.view.View
import android.widget.RadioGroup
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNotNull
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.kerasfer.core.Accelerator
import org.kerasfer.core.CameraState
import org.kerasfer.core.Event
import org.kerasfer.core.Lens
import org.kerasfer.core.ModelState
import org.kerasfer.core.Permission
import org.kerasfer.core.PictureStage
import org.kerasfer.core.Problem
import org.kerasfer.core.Recognition
import org.kerasfer.core.Source
import org.robolectric.RobolectricTestRunner
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode
import java.io.File
import java.util.concurrent.CountDownLatch
import kotlin.math.abs

/** What the app does, from the first start on. */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [35], application = TestApp::class)
@GraphicsMode(GraphicsMode.Mode.NATIVE)
class AppTest {
    @Test
    fun theCameraIsOpenedOnceItIsAllowed() = Phone(granted = false).use { phone ->
        assertTrue(app.cameras.sessions.isEmpty())
        phone.click(R.id.message_action)
        assertEquals(Permission.ASKED, phone.demo.state.permission)
        phone.answer(granted = true)
        phone.see("one")
        assertEquals(listOf(Lens.FRONT), app.cameras.sessions.map { it.lens })
        assertFalse(phone.view<View>(R.id.message).isShown)
        assertEquals(1, phone.view<CardGrid>(R.id.faces).childCount)
    }

    @Test
    fun whoDeniesForGoodIsSentToTheSettingsAndComesBack() = Phone(granted = false).use { phone ->
        phone.click(R.id.message_action)
        phone.answer(granted = false)
        assertEquals(phone.activity.getString(R.string.denied_title), phone.text(R.id.message_title))
        phone.click(R.id.message_action)
        phone.answer(granted = false, mayAskAgain = false)
        assertEquals(phone.activity.getString(R.string.blocked_title), phone.text(R.id.message_title))
        phone.click(R.id.message_action)
        generateSequence { shadowOf(phone.activity).nextStartedActivity }
            .first { it.action == Settings.ACTION_APPLICATION_DETAILS_SETTINGS }
            .let { assertEquals("package:org.kerasfer.demo", it.dataString) }
        phone.hide()
        phone.grant()
        phone.showAgain()
        phone.see("one")
    }

    @Test
    fun facesComeAndGo() = Phone().use { phone ->
        phone.see("several")
        assertEquals(2, phone.view<CardGrid>(R.id.faces).childCount)
        val spoken = phone.view<CardGrid>(R.id.faces).getChildAt(1).contentDescription.toString()
        assertTrue(spoken, spoken.startsWith("Face 2: ") && "Happiness" in spoken && "%" in spoken)
        phone.see("none")
        assertEquals(0, phone.view<CardGrid>(R.id.faces).childCount)
        assertEquals(phone.activity.getString(R.string.no_face_live), phone.text(R.id.summary))
        phone.see("one")
        assertFalse(phone.view<View>(R.id.summary).isShown)
    }

    @Test
    fun theOtherLensIsOpenedOnceTheFirstIsClosed() = Phone().use { phone ->
        phone.see("one")
        phone.click(R.id.camera)
        phone.see("one")
        // FileCameras refuses a second camera while one is open.
        assertEquals(listOf(Lens.FRONT, Lens.BACK), app.cameras.sessions.map { it.lens })
        assertEquals(listOf(true, false), app.cameras.sessions.map { it.over })
    }

    @Test
    fun turningKeepsCameraModelAndSheet() = Phone().use { phone ->
        phone.see("one")
        phone.click(R.id.settings)
        val before = phone.activity
        phone.turn(Look.LANDSCAPE)
        assertFalse(before === phone.activity)
        assertTrue(phone.sheet is SettingsSheet && phone.sheet!!.isShowing)
        app.cameras.deliver("one", wide = true)
        until("the frame") { phone.view<PictureView>(R.id.picture).labels.isNotEmpty() }
        assertEquals(1, app.cameras.sessions.size)
        assertEquals(2, app.engines.opened.get())
        phone.turn(Look.LIGHT)
        assertEquals(1, app.cameras.open.size)
    }

    @Test
    fun theCameraIsGivenBackInTheBackground() = Phone().use { phone ->
        phone.see("one")
        phone.hide()
        until("the camera closed") { app.cameras.open.isEmpty() && phone.demo.state.camera == CameraState.Closed }
        phone.showAgain()
        phone.see("several")
        assertEquals(listOf(true, false), app.cameras.sessions.map { it.over })
    }

    @Test
    fun aSlowModelDropsFrames() = Phone().use { phone ->
        phone.see("one")
        val gate = CountDownLatch(1)
        app.engines.slow = { gate.await() }
        repeat(30) { app.cameras.deliver("one") }
        assertEquals("one frame in work, none waiting", 1, app.cameras.held.get())
        app.engines.slow = null
        gate.countDown()
        until("the frame given back") { app.cameras.held.get() == 0 }
        assertEquals(1, app.engines.mostRunning.get())
    }

    @Test
    fun leavingWhileAFrameIsInWorkClosesEverythingOnce() {
        val gate = CountDownLatch(1)
        Phone().use { phone ->
            phone.see("one")
            app.engines.slow = { gate.await() }
            app.cameras.deliver("one")
            phone.hide()
            app.engines.slow = null
            Thread { gate.countDown() }.start()
        }
    }

    @Test
    fun photosAreTurnedAsTheirExifEntrySays() = Phone().use { phone ->
        phone.pick("plain.png")
        val expected = phone.result()
        assertEquals(2, expected.faces.size)
        for (orientation in 1..8) {
            phone.pick("exif_$orientation.jpg")
            val image = phone.demo.photo!!.image
            assertEquals("orientation $orientation", 480 to 640, image.width to image.height)
            val got = phone.result()
            assertEquals("orientation $orientation", 2, got.faces.size)
            got.faces.zip(expected.faces).forEach { (a, b) ->
                assertTrue(a.probabilities.indices.all { abs(a.probabilities[it] - b.probabilities[it]) < 0.03 })
            }
        }
        assertTrue("the camera waits meanwhile", app.cameras.open.isEmpty())
        phone.click(R.id.camera)
        phone.see("one")
    }

    @Test
    fun aPhotoThatCannotBeDecodedIsSaid() = Phone().use { phone ->
        for (file in listOf("text.jpg", "cut_off.png")) {
            phone.pick(file)
            assertTrue(phone.view<View>(R.id.message).isShown)
            assertEquals(phone.activity.getString(R.string.unreadable_title), phone.text(R.id.message_title))
        }
        phone.click(R.id.message_action)
        phone.answerPicker(Uri.parse("content://gallery/exif_1.jpg"))
        until("the photo") { (phone.demo.state.source as Source.Picture).stage is PictureStage.Done }
    }

    @Test
    fun thePickerIsTheSystemsAndMayBeLeft() = Phone().use { phone ->
        phone.see("one")
        phone.click(R.id.photo)
        assertEquals(
            MediaStore.ACTION_PICK_IMAGES,
            shadowOf(phone.activity).peekNextStartedActivityForResult().intent.action
        )
        phone.answerPicker(null)
        assertEquals(Source.Live, phone.demo.state.source)
        phone.see("one")
    }

    @Test
    fun anotherModelIsChosenTestedAndRemembered() {
        Phone().use { phone ->
            phone.see("one")
            assertEquals(8, phone.demo.state.recognition!!.faces[0].probabilities.size)
            phone.click(R.id.settings)
            phone.view<RadioGroup>(R.id.settings_models).getChildAt(1).performClick()
            until("the model") { phone.demo.loaded == "colour" }
            assertTrue(phone.text(R.id.settings_self_test).contains("0.0000"))
            phone.click(R.id.sheet_done)
            phone.see("one")
            assertEquals(3, phone.demo.state.recognition!!.faces[0].probabilities.size)
            assertEquals("the first model was closed", 2, app.engines.opened.get() - app.engines.closed.get())
        }
        Phone().use { phone -> until("the model") { phone.demo.loaded == "colour" } }
    }

    @Test
    fun aGpuThatIsMissingIsSaidAndTheCpuTaken() = Phone().use { phone ->
        app.engines.gpu = Engines.Gpu.MISSING
        phone.chooseGpu()
        phone.see("one")
        assertTrue(phone.text(R.id.notice_text).contains("no GPU"))
        assertTrue(phone.text(R.id.timing).contains("CPU"))
        phone.click(R.id.notice_close)
        phone.see("one")
        assertFalse(phone.view<View>(R.id.notice).isShown)
    }

    @Test
    fun aGpuWithOtherNumbersIsNotUsed() = Phone().use { phone ->
        app.engines.gpu = Engines.Gpu.WRONG
        phone.chooseGpu()
        val info = (phone.demo.state.model as ModelState.Ready).info
        assertEquals(Accelerator.CPU, info.running)
        assertTrue(info.fallback!!, "off in the self-test" in info.fallback!!)
    }

    @Test
    fun aGpuThatFailsWhileItRunsIsGivenUp() = Phone().use { phone ->
        phone.chooseGpu()
        assertEquals(Accelerator.GPU, (phone.demo.state.model as ModelState.Ready).info.running)
        app.engines.gpuFails = true
        until("a camera") { phone.demo.cameraOpen }
        app.cameras.deliver("one")
        until("the CPU") { (phone.demo.state.model as? ModelState.Ready)?.info?.running == Accelerator.CPU }
        phone.see("one")
        assertTrue(phone.text(R.id.notice_text).contains("lost its context"))
    }

    @Test
    fun brokenAssetsAreNamedAndTriedAgain() {
        val cases = mapOf(
            "models/index.json" to R.string.missing_asset_title,
            "models/grid.tflite" to R.string.missing_asset_title,
            "models/grid.selftest" to R.string.missing_asset_title,
            "detector/face_detection_short_range.tflite" to R.string.missing_asset_title
        )
        for ((asset, title) in cases) {
            app.renew()
            File(app.cacheDir, "models").deleteRecursively()
            app.replaced[asset] = null
            Phone().use { phone ->
                until("the message for $asset") { phone.view<View>(R.id.message).isShown }
                assertEquals(phone.activity.getString(title), phone.text(R.id.message_title))
                assertTrue(phone.text(R.id.message_text).contains(asset.substringAfterLast('/')))
                app.replaced.clear()
                phone.demo.send(Event.Retry)
                phone.see("one")
            }
        }
    }

    @Test
    fun brokenModelsAreNamed() {
        val cases = mapOf(
            "no_card" to R.string.broken_card_title,
            "wrong_card" to R.string.broken_card_title,
            "wrong_size" to R.string.unsupported_title,
            "no_model" to R.string.broken_model_title
        )
        for ((file, title) in cases) {
            app.renew()
            File(app.cacheDir, "models").deleteRecursively()
            app.replaced["models/grid.tflite"] = File(golden, "broken/$file.tflite")
            Phone().use { phone ->
                until("the message for $file") { phone.demo.state.model is ModelState.Failed }
                assertEquals(phone.activity.getString(title), phone.text(R.id.message_title))
                phone.click(R.id.message_action)
                phone.view<RadioGroup>(R.id.settings_models).getChildAt(1).performClick()
                until("the other model") { phone.demo.loaded == "colour" }
            }
        }
    }

    @Test
    fun wrongNumbersOnTheCpuAreNoModel() {
        app.replaced["models/grid.selftest"] = File(golden, "broken/wrong.selftest")
        Phone().use { phone ->
            until("the message") { phone.demo.state.model is ModelState.Failed }
            assertEquals(phone.activity.getString(R.string.wrong_numbers_title), phone.text(R.id.message_title))
        }
    }

    @Test
    fun aCameraThatWasTakenComesBackByItself() {
        for (problem in listOf(Problem.CameraInUse, Problem.CameraDisconnected)) {
            app.renew()
            Phone().use { phone ->
                phone.see("one")
                app.cameras.open.single().fail(problem)
                idle()
                assertEquals(CameraState.Failed(problem), phone.demo.state.camera)
                assertTrue(phone.view<View>(R.id.message_photo).isShown)
                app.cameras.freed!!()
                idle()
                phone.see("one")
            }
        }
    }

    @Test
    fun whatTheModelSeesIsShown() = Phone().use { phone ->
        phone.see("one")
        assertFalse(phone.view<View>(R.id.face_crop).isShown)
        phone.click(R.id.settings)
        phone.click(R.id.settings_crops)
        phone.click(R.id.sheet_done)
        phone.see("one")
        assertTrue(phone.view<View>(R.id.face_crop).isShown)
        assertNotNull(phone.view<View>(R.id.face_crop).contentDescription)
    }

    private fun Phone.chooseGpu() {
        until("a model") { demo.ready }
        demo.send(Event.ChooseAccelerator(Accelerator.GPU))
        until("the model") {
            (demo.state.model as? ModelState.Ready)?.info?.choice?.accelerator == Accelerator.GPU
        }
    }

    private fun Phone.result(): Recognition {
        val done = (demo.state.source as Source.Picture).stage as PictureStage.Done
        return done.recognition.copy(faces = done.recognition.ordered())
    }

    private val Demo.loaded: String? get() = (state.model as? ModelState.Ready)?.info?.choice?.id
}
