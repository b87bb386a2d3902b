package org.kerasfer.core

import com.sun.management.ThreadMXBean
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.lang.management.ManagementFactory
import java.nio.ByteBuffer
import kotlin.math.abs

/** What a frame costs outside the models; bench/ measures the same with JMH. */
class PerFrameTest {
    private val thread = ManagementFactory.getThreadMXBean() as ThreadMXBean
    private val warmUp = Integer.getInteger("frames", 30)

    @Test
    fun `nothing is allocated that grows with the picture`() {
        val bytes = listOf(320 to 240, 640 to 480, 1280 to 960).map { (width, height) -> perFrame(width, height) }
        // The smallest picture grown fourfold is 300,000 pixels more.
        assertTrue(bytes.all { abs(it - bytes[0]) < 20_000 }, "bytes a frame: $bytes")
    }

    private fun perFrame(width: Int, height: Int): Long {
        val luma = Plane(ByteBuffer.allocateDirect(width * height), width, 1)
        val chroma = Plane(ByteBuffer.allocateDirect(width * height / 2), width, 2)
        val frame = YuvFrame(luma, chroma, chroma, CropRect(0, 0, width, height), rotation = 90, mirrored = true)
        val card = card(112)
        val recognizer = Recognizer()
        recognizer.use(FaceDetector(FakeEngine.detector(Triple(40f, 60f, 38f), Triple(90f, 60f, 38f))))
        recognizer.use(Classifier(card, FakeEngine.classifier(card, 0.5f, 0.5f)))
        val snapshot = Snapshot()
        val run = { count: Int ->
            repeat(count) {
                recognizer.recognize(frame, 0.0, snapshot)
                val faces = snapshot.recognition.faces
                assertEquals(2, faceMarks(faces, Placement.fill(height, width, 1080, 2160), 1080, 2160, 300f, 80f).size)
            }
        }
        run(warmUp)
        val allocated = thread.currentThreadAllocatedBytes
        val nanoseconds = thread.currentThreadCpuTime
        run(warmUp)
        val milliseconds = (thread.currentThreadCpuTime - nanoseconds) / 1e6 / warmUp
        val bytes = (thread.currentThreadAllocatedBytes - allocated) / warmUp
        println("%d x %d: %.2f ms of processor time and %d bytes a frame".format(width, height, milliseconds, bytes))
        return bytes
    }
}
