package org.kerasfer.demo

import android.annotation.SuppressLint
import android.content.Context
import android.graphics.ImageFormat
import android.hardware.camera2.CameraAccessException
import android.hardware.camera2.CameraCaptureSession
import android.hardware.camera2.CameraCharacteristics
import android.hardware.camera2.CameraDevice
import android.hardware.camera2.CameraManager
import android.hardware.camera2.CaptureRequest
import android.hardware.display.DisplayManager
import android.media.Image
import android.media.ImageReader
import android.os.Handler
import android.os.HandlerThread
import android.os.Looper
import android.view.Display
import org.kerasfer.core.CameraInfo
import org.kerasfer.core.CropRect
import org.kerasfer.core.Lens
import org.kerasfer.core.PictureSize
import org.kerasfer.core.Plane
import org.kerasfer.core.Problem
import org.kerasfer.core.YuvFrame
import org.kerasfer.core.chooseSize
import org.kerasfer.core.frameRotation
import org.kerasfer.core.mirrored

/** The phone's cameras, through Camera2. */
class CameraSource(private val context: Context) : FrameSource {
    private val cameras = context.getSystemService(CameraManager::class.java)!!
    private val displays = context.getSystemService(DisplayManager::class.java)!!
    private var watcher: CameraManager.AvailabilityCallback? = null

    override fun lenses(): Set<Lens> = try {
        all().mapTo(LinkedHashSet()) { it.lens }
    } catch (_: CameraAccessException) {
        emptySet()
    }

    override fun open(lens: Lens, listener: FrameSource.Listener): FrameSource.Session =
        CameraSession(lens, listener).also { it.begin() }

    override fun watch(freed: (() -> Unit)?) {
        watcher?.let(cameras::unregisterAvailabilityCallback)
        watcher = freed?.let {
            object : CameraManager.AvailabilityCallback() {
                override fun onCameraAvailable(cameraId: String) = it()
            }
        }
        watcher?.let { cameras.registerAvailabilityCallback(it, Handler(Looper.getMainLooper())) }
    }

    private fun all(): List<CameraInfo> = cameras.cameraIdList.mapNotNull { id ->
        val facts = cameras.getCameraCharacteristics(id)
        val lens = when (facts[CameraCharacteristics.LENS_FACING]) {
            CameraCharacteristics.LENS_FACING_FRONT -> Lens.FRONT
            CameraCharacteristics.LENS_FACING_BACK -> Lens.BACK
            else -> return@mapNotNull null
        }
        val sizes = facts[CameraCharacteristics.SCALER_STREAM_CONFIGURATION_MAP]
            ?.getOutputSizes(ImageFormat.YUV_420_888)?.map { PictureSize(it.width, it.height) }.orEmpty()
        CameraInfo(id, lens, facts[CameraCharacteristics.SENSOR_ORIENTATION] ?: 0, sizes)
    }

    /** All fields belong to the session's thread, on which everything but the closing of frames happens. */
    private inner class CameraSession(private val lens: Lens, private val listener: FrameSource.Listener) :
        CameraDevice.StateCallback(),
        FrameSource.Session {
        private val thread = HandlerThread("camera").apply { start() }
        private val handler = Handler(thread.looper)
        private var device: CameraDevice? = null
        private var reader: ImageReader? = null
        private var framesOut = 0
        private var opening = false
        private var ending = false
        private var over = false
        private var problem: Problem? = null

        fun begin() {
            handler.post { guarded { openDevice() } }
        }

        override fun close() {
            handler.post { end(null) }
        }

        // Android's lint cannot see that the permission was granted; if it was taken back, guarded() tells.
        @SuppressLint("MissingPermission")
        private fun openDevice() {
            val camera = all().firstOrNull { it.lens == lens }
            if (camera == null || camera.sizes.isEmpty()) return end(Problem.NoCamera)
            val size = chooseSize(camera.sizes)
            // One in work, one that arrived, and one that acquireLatestImage looks for.
            reader = ImageReader.newInstance(size.width, size.height, ImageFormat.YUV_420_888, 3).apply {
                setOnImageAvailableListener({ deliver(it, camera) }, handler)
            }
            cameras.openCamera(camera.id, this, handler)
            opening = true
        }

        override fun onOpened(camera: CameraDevice) {
            opening = false
            device = camera
            if (ending) {
                camera.close()
                finishIfFree()
            } else {
                guarded { startStream(camera) }
            }
        }

        override fun onDisconnected(camera: CameraDevice) {
            opening = false
            camera.close()
            end(Problem.CameraDisconnected)
        }

        override fun onError(camera: CameraDevice, error: Int) {
            opening = false
            camera.close()
            end(
                when (error) {
                    ERROR_CAMERA_IN_USE, ERROR_MAX_CAMERAS_IN_USE -> Problem.CameraInUse
                    ERROR_CAMERA_DISABLED -> failed(R.string.camera_disabled)
                    else -> failed(R.string.camera_error, error.toString())
                }
            )
        }

        // Its successor, SessionConfiguration, does not exist on Android 8.
        @Suppress("DEPRECATION")
        private fun startStream(camera: CameraDevice) {
            val surface = reader!!.surface
            val request = camera.createCaptureRequest(CameraDevice.TEMPLATE_PREVIEW).apply {
                addTarget(surface)
                set(CaptureRequest.CONTROL_AF_MODE, CaptureRequest.CONTROL_AF_MODE_CONTINUOUS_PICTURE)
            }
            val callback = object : CameraCaptureSession.StateCallback() {
                override fun onConfigured(session: CameraCaptureSession) = guarded {
                    if (ending) return@guarded
                    session.setRepeatingRequest(request.build(), null, handler)
                    listener.opened()
                }

                override fun onConfigureFailed(session: CameraCaptureSession) = end(failed(R.string.camera_sizes))
            }
            camera.createCaptureSession(listOf(surface), callback, handler)
        }

        private fun deliver(reader: ImageReader, camera: CameraInfo) {
            if (ending) return
            val image = reader.acquireLatestImage() ?: return
            framesOut++
            var handedOver = false
            try {
                val held = HeldFrame(frame(image, camera), image.timestamp / 1e9) {
                    image.close()
                    handler.post(::frameBack)
                }
                handedOver = true
                listener.frame(held)
            } finally {
                if (!handedOver) {
                    image.close()
                    framesOut--
                }
            }
        }

        private fun frame(image: Image, camera: CameraInfo): YuvFrame {
            val (y, u, v) = image.planes.map { Plane(it.buffer, it.rowStride, it.pixelStride) }
            val crop = image.cropRect
            val turned = displays.getDisplay(Display.DEFAULT_DISPLAY).rotation * 90
            val rotation = frameRotation(camera.lens, camera.sensorOrientation, turned)
            return YuvFrame(
                y,
                u,
                v,
                CropRect(crop.left, crop.top, crop.width(), crop.height()),
                rotation,
                mirrored(camera.lens)
            )
        }

        private fun frameBack() {
            framesOut--
            finishIfFree()
        }

        private fun end(why: Problem?) {
            if (ending) return
            ending = true
            problem = why
            device?.close()
            finishIfFree()
        }

        /** A reader whose frame is being read must not be closed, nor a device that is only being opened be forgotten. */
        private fun finishIfFree() {
            if (!ending || over || framesOut > 0 || opening) return
            over = true
            reader?.close()
            thread.quitSafely()
            problem?.let(listener::failed) ?: listener.closed()
        }

        private fun guarded(action: () -> Unit) {
            try {
                action()
            } catch (error: CameraAccessException) {
                end(problemOf(error))
            } catch (error: SecurityException) {
                end(failed(R.string.camera_refused, error.message.orEmpty()))
            } catch (error: IllegalStateException) {
                end(Problem.CameraDisconnected)
            } catch (error: IllegalArgumentException) {
                end(failed(R.string.camera_error, error.message.orEmpty()))
            }
        }
    }

    private fun problemOf(error: CameraAccessException) = when (error.reason) {
        CameraAccessException.CAMERA_IN_USE, CameraAccessException.MAX_CAMERAS_IN_USE -> Problem.CameraInUse
        CameraAccessException.CAMERA_DISCONNECTED -> Problem.CameraDisconnected
        CameraAccessException.CAMERA_DISABLED -> failed(R.string.camera_disabled)
        else -> failed(R.string.camera_error, error.message.orEmpty())
    }

    private fun failed(text: Int, vararg details: String) = Problem.CameraFailed(context.getString(text, *details))
}
