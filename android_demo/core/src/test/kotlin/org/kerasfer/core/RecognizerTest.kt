package org.kerasfer.core

import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNotSame
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertSame
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.nio.ByteBuffer
import kotlin.concurrent.thread

class RecognizerTest {
    private val card = card()
    private val frame = RgbaFrame(Plane(ByteBuffer.allocate(4 * 640 * 480), 4 * 640, 4), CropRect(0, 0, 640, 480))
    private val snapshot = Snapshot()

    @Test
    fun `faces get numbers, probabilities, crops and times`() {
        var now = 0L
        val recognizer = Recognizer { now.also { now += 3_000_000 } }
        recognizer.use(FaceDetector(FakeEngine.detector(Triple(40f, 60f, 20f), Triple(90f, 60f, 20f))))
        recognizer.use(Classifier(card, FakeEngine.classifier(card, 0.25f, 0.75f)))
        recognizer.recognize(frame, 0.0, snapshot)
        val (faces, told, times) = snapshot.recognition
        assertEquals(card, told)
        assertEquals(listOf(1, 2), faces.map { it.track })
        assertEquals(200.0, faces[0].face.box.x + faces[0].face.box.width / 2, 1e-3)
        assertEquals(220.0, faces[0].face.box.y + faces[0].face.box.height / 2, 1e-3)
        assertEquals(1.13 * 100, faces[0].window.side, 1e-3)
        assertEquals(1, faces[1].top)
        assertEquals(3 * 32 * 32, faces[0].crop.size)
        assertNotSame(faces[0].crop, faces[1].crop)
        assertEquals(Milliseconds(3.0, 6.0, 3.0), times)

        val crop = faces[0].crop
        recognizer.recognize(frame, 0.05, snapshot)
        assertSame(crop, snapshot.recognition.faces[0].crop)
        assertEquals(1, snapshot.recognition.faces[0].track)
    }

    @Test
    fun `without models the picture is there all the same`() {
        val recognizer = Recognizer()
        recognizer.recognize(frame, 0.0, snapshot)
        assertEquals(640, snapshot.image.width)
        assertNull(snapshot.recognition.card)
        val detector = FakeEngine.detector(Triple(60f, 60f, 20f))
        recognizer.use(FaceDetector(detector))
        recognizer.recognize(frame, 0.0, snapshot)
        assertEquals(0, snapshot.recognition.faces.size)
        assertEquals(0, detector.runs)
    }

    @Test
    fun `a model that fails leaves the picture without faces`() {
        val recognizer = Recognizer()
        recognizer.use(FaceDetector(FakeEngine.detector(Triple(60f, 60f, 20f))))
        recognizer.use(Classifier(card, FakeEngine.classifier(card, Float.NaN, 0f)))
        val error = assertThrows(EngineException::class.java) { recognizer.recognize(frame, 0.0, snapshot) }
        assertTrue("NaN" in error.message!! && "CPU" in error.message!!, error.message)
        assertEquals(0, snapshot.recognition.faces.size)
    }

    @Test
    fun `another model smooths anew, and each is closed once`() {
        val recognizer = Recognizer()
        val detector = FakeEngine.detector(Triple(60f, 60f, 20f))
        val engines = List(3) { FakeEngine.classifier(card, 1f - it / 2f, it / 2f) }
        recognizer.use(FaceDetector(detector))
        for ((i, engine) in engines.withIndex()) {
            recognizer.use(Classifier(card, engine))
            recognizer.recognize(frame, i * 0.01, snapshot)
            assertArrayEquals(floatArrayOf(1f - i / 2f, i / 2f), snapshot.recognition.faces.single().probabilities)
        }
        recognizer.close()
        recognizer.close()
        assertEquals(listOf(1, 1, 1, 1), (engines + detector).map { it.closed })
        val late = FakeEngine.classifier(card, 1f, 0f)
        recognizer.use(Classifier(card, late))
        assertEquals(1, late.closed)
        recognizer.recognize(frame, 1.0, snapshot)
        assertEquals(0, snapshot.recognition.faces.size)
    }

    @Test
    fun `models are neither run at once nor run when closed`() {
        val recognizer = Recognizer()
        recognizer.use(FaceDetector(FakeEngine.detector(Triple(60f, 60f, 20f))))
        val failures = ArrayList<Throwable>()
        val threads = List(3) {
            thread {
                val mine = Snapshot()
                repeat(30) { recognizer.recognize(frame, 0.0, mine) }
            }.apply { setUncaughtExceptionHandler { _, error -> synchronized(failures) { failures += error } } }
        }
        repeat(50) { recognizer.use(Classifier(card, FakeEngine.classifier(card, 1f, 0f))) }
        recognizer.close()
        threads.forEach { it.join() }
        assertEquals(emptyList<Throwable>(), failures)
    }

    @Test
    fun `float models get the same pixels as numbers`() {
        val engine = FakeEngine(3 * 32 * 32, listOf(2), TensorType.FLOAT32) { _, output -> output[0] = 1f }
        val crop = ByteArray(3 * 32 * 32) { it.toByte() }
        assertArrayEquals(floatArrayOf(1f, 0f), Classifier(card, engine).classify(crop))
        assertEquals(listOf(0f, 127f, 128f, 255f), listOf(0, 127, 128, 255).map { engine.lastFloats!![it] })
    }

    @Test
    fun `models that do not fit are refused`() {
        val size = FakeEngine(3 * 48 * 48, listOf(2)) { _, _ -> }
        val classes = FakeEngine(3 * 32 * 32, listOf(7)) { _, _ -> }
        for ((engine, told) in listOf(size to "32 x 32", classes to "2 classes")) {
            val error = assertThrows(UnsupportedModelException::class.java) { Classifier(card, engine) }
            assertTrue(told in error.message!!, error.message)
        }
        assertThrows(EngineException::class.java) { FaceDetector(classes) }
    }

    @Test
    fun `tiles find a face once, and not the halves of it`() {
        // The fake finds a face in the middle of whatever it sees: of the whole, and of each tile.
        val detector = FakeEngine.detector(Triple(64f, 64f, 40f))
        val faces = FaceDetector(detector).detect(Image(512, 512), levels = 2)
        assertEquals(1 + 9, detector.runs)
        // The middle tile's face lies inside the whole picture's; the eight others are apart from it.
        assertEquals(9, faces.size)
        detector.close()
        val wide = FakeEngine.detector(Triple(64f, 64f, 140f))
        // Larger than its tile: only the whole picture's counts.
        assertEquals(1, FaceDetector(wide).detect(Image(512, 512), levels = 2).size)
        // Tiles smaller than the detector's input are not looked at.
        val small = FakeEngine.detector(Triple(64f, 64f, 40f))
        FaceDetector(small).detect(Image(200, 120), levels = 3)
        assertEquals(1, small.runs)
    }
}
