package org.kerasfer.demo

import org.junit.Test
import org.junit.runner.RunWith
import org.kerasfer.core.Accelerator
import org.kerasfer.core.Event
import org.kerasfer.core.Lens
import org.kerasfer.core.ModelState
import org.kerasfer.core.Permission
import org.kerasfer.core.Problem
import org.robolectric.RobolectricTestRunner
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode
import java.io.File

/**
 * Every state that the app can show, on a phone in the light and in the dark, lying on its side, and with a font twice
 * as large: readable, tappable, and written to the folder of screens as a picture.
 */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [35], application = TestApp::class)
@GraphicsMode(GraphicsMode.Mode.NATIVE)
class ScreensTest {
    @Test
    fun askingForTheCamera() = onEveryLook("ask", granted = false) {}

    @Test
    fun denied() = onEveryLook("denied", granted = false) {
        click(R.id.message_action)
        answer(granted = false)
        check(demo.state.permission == Permission.DENIED)
    }

    @Test
    fun deniedForGood() = onEveryLook("denied_for_good", granted = false) {
        click(R.id.message_action)
        answer(granted = false, mayAskAgain = false)
        check(demo.state.permission == Permission.DENIED_FOR_GOOD)
    }

    @Test
    fun starting() = onEveryLook("starting") { until("a camera") { demo.cameraOpen } }

    @Test
    fun noFace() = onEveryLook("no_face") { see("none") }

    @Test
    fun oneFace() = onEveryLook("one_face") { see("one") }

    @Test
    fun severalFaces() = onEveryLook("several_faces") { look ->
        see("several")
        check(demo.state.recognition!!.faces.size == if (look.wide) 3 else 2)
    }

    @Test
    fun whatTheModelSees() = onEveryLook("crops") {
        demo.send(Event.ToggleCrops)
        see("several")
    }

    @Test
    fun photo() = onEveryLook("photo") { pick("exif_6.jpg") }

    @Test
    fun photoWithoutFace() = onEveryLook("photo_no_face") { pick("empty.png") }

    @Test
    fun unreadablePhoto() = onEveryLook("photo_unreadable") { pick("text.jpg") }

    @Test
    fun settings() = onEveryLook("settings") {
        see("one")
        click(R.id.settings)
    }

    @Test
    fun about() = onEveryLook("about") {
        see("one")
        click(R.id.about)
    }

    @Test
    fun gpuThatFails() = onEveryLook("gpu_fails", before = { app.engines.gpu = Engines.Gpu.MISSING }) {
        chooseGpu()
        see("one")
    }

    @Test
    fun settingsOfGpuThatFails() = onEveryLook("gpu_fails_settings", before = {
        app.engines.gpu = Engines.Gpu.MISSING
    }) {
        chooseGpu()
        click(R.id.settings)
    }

    @Test
    fun missingAsset() = onEveryLook("missing_asset", before = { app.replaced["models/index.json"] = null }) {
        until("the message") { demo.state.assets != null }
    }

    @Test
    fun brokenCard() = onModel("wrong_card")

    @Test
    fun unsupportedSize() = onModel("wrong_size")

    @Test
    fun brokenModel() = onModel("no_model")

    @Test
    fun cameraInUse() = onProblem("camera_in_use", Problem.CameraInUse)

    @Test
    fun cameraDisconnected() = onProblem("camera_disconnected", Problem.CameraDisconnected)

    @Test
    fun cameraFailed() = onProblem("camera_failed", Problem.CameraFailed("The camera reports error 4"))

    @Test
    fun noCamera() = onEveryLook("no_camera", before = { app.cameras.lenses = emptySet() }) {}

    @Test
    fun oneCamera() = onEveryLook("one_camera", before = { app.cameras.lenses = setOf(Lens.BACK) }) { see("one") }

    private fun onModel(name: String) =
        onEveryLook(name, before = { app.replaced["models/grid.tflite"] = File(golden, "broken/$name.tflite") }) {
            until("the message") { demo.state.model is ModelState.Failed }
        }

    private fun onProblem(name: String, problem: Problem) =
        onEveryLook(name, before = { app.cameras.problem = problem }) { until("models") { demo.ready } }

    private fun Phone.chooseGpu() {
        until("a model") { demo.ready }
        demo.send(Event.ChooseAccelerator(Accelerator.GPU))
        until("the fallback") { (demo.state.model as? ModelState.Ready)?.info?.fallback != null }
    }

    private fun onEveryLook(
        name: String,
        granted: Boolean = true,
        before: () -> Unit = {
        },
        prepare: Phone.(Look) -> Unit
    ) {
        for (look in Look.entries) {
            app.renew()
            before()
            Phone(look, granted).use { phone ->
                phone.prepare(look)
                val picture = "${name}_${look.name.lowercase()}"
                idle()
                phone.shoot(picture)
                phone.checkScreen(picture)
            }
        }
    }
}
