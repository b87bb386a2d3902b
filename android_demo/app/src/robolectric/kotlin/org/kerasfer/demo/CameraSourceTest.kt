package org.kerasfer.demo

import android.Manifest
import android.content.Context
import android.graphics.ImageFormat
import android.hardware.camera2.CameraCharacteristics
import android.hardware.camera2.CameraManager
import android.util.Size
import org.junit.Assert.assertEquals
import org.junit.Before
import org.junit.Test
import org.junit.runner.RunWith
import org.kerasfer.core.Lens
import org.kerasfer.core.Problem
import org.robolectric.RobolectricTestRunner
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config
import org.robolectric.shadows.ShadowCameraCharacteristics
import org.robolectric.shadows.StreamConfigurationMapBuilder
import java.util.concurrent.LinkedBlockingQueue
import java.util.concurrent.TimeUnit

/** Camera2 as far as Robolectric goes: cameras open, stream, close and get lost, but no frame arrives. */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [35], application = TestApp::class)
class CameraSourceTest {
    private val manager = app.getSystemService(Context.CAMERA_SERVICE) as CameraManager
    private val told = LinkedBlockingQueue<String>()
    private val listener = object : FrameSource.Listener {
        override fun opened() {
            told += "opened"
        }

        override fun closed() {
            told += "closed"
        }

        override fun failed(problem: Problem) {
            told += "failed $problem"
        }

        override fun frame(frame: HeldFrame) = frame.close()
    }

    @Before
    fun cameras() {
        shadowOf(app).grantPermissions(Manifest.permission.CAMERA)
        add("0", CameraCharacteristics.LENS_FACING_BACK, 90)
        add("1", CameraCharacteristics.LENS_FACING_FRONT, 270)
        add("2", CameraCharacteristics.LENS_FACING_EXTERNAL, 0)
    }

    @Test
    fun lensesAreThoseThatThePhoneHas() = assertEquals(setOf(Lens.BACK, Lens.FRONT), CameraSource(app).lenses())

    @Test
    fun aCameraOpensStreamsAndClosesOnce() {
        val session = CameraSource(app).open(Lens.BACK, listener)
        assertEquals("opened", next())
        session.close()
        session.close()
        assertEquals("closed", next())
        assertEquals(null, told.poll(100, TimeUnit.MILLISECONDS))
    }

    @Test
    fun aSessionThatIsClosedAtOnceEndsOnce() {
        CameraSource(app).open(Lens.FRONT, listener).close()
        val events = generateSequence { told.poll(2, TimeUnit.SECONDS) }.toList()
        assertEquals(events.toString(), 1, events.count { it == "closed" })
        assertEquals(0, events.count { it.startsWith("failed") })
    }

    @Test
    fun aCameraThatIsTakenAwayEndsTheSessionOnce() {
        val session = CameraSource(app).open(Lens.BACK, listener)
        assertEquals("opened", next())
        shadowOf(manager).triggerDisconnect()
        assertEquals("failed CameraDisconnected", next())
        session.close()
        assertEquals(null, told.poll(100, TimeUnit.MILLISECONDS))
    }

    @Test
    fun aLensThatIsNotThereIsSaid() {
        shadowOf(manager).removeCamera("1")
        CameraSource(app).open(Lens.FRONT, listener)
        assertEquals("failed NoCamera", next())
    }

    private fun next() = told.poll(60, TimeUnit.SECONDS)

    private fun add(id: String, facing: Int, orientation: Int) {
        val facts = ShadowCameraCharacteristics.newCameraCharacteristics()
        val map = StreamConfigurationMapBuilder.newBuilder().addOutputSize(
            ImageFormat.YUV_420_888,
            Size(640, 480)
        ).build()
        shadowOf(facts).apply {
            set(CameraCharacteristics.LENS_FACING, facing)
            set(CameraCharacteristics.SENSOR_ORIENTATION, orientation)
            set(CameraCharacteristics.SCALER_STREAM_CONFIGURATION_MAP, map)
        }
        shadowOf(manager).addCamera(id, facts)
    }
}
