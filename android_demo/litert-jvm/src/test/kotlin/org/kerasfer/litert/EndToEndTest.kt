package org.kerasfer.litert

import org.json.JSONArray
import org.json.JSONObject
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Assumptions.assumeTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import org.kerasfer.core.Accelerator
import org.kerasfer.core.CropRect
import org.kerasfer.core.EngineException
import org.kerasfer.core.ModelChoice
import org.kerasfer.core.ModelLoader
import org.kerasfer.core.ModelStore
import org.kerasfer.core.Plane
import org.kerasfer.core.Recognition
import org.kerasfer.core.Recognizer
import org.kerasfer.core.Snapshot
import org.kerasfer.core.YuvFrame
import org.kerasfer.core.rgbToArgb
import java.io.File
import java.nio.ByteBuffer
import kotlin.math.abs

/** The assets of `export.android`, real LiteRT, the bytes of frames: the faces and probabilities of Python. */
class EndToEndTest {
    @TempDir
    lateinit var unpacked: File

    private val folder = File(System.getProperty("golden", "../core/target/golden"), "end_to_end").also {
        check(it.isDirectory) { "${it.absolutePath} is missing: make test-android writes it" }
    }
    private val cases = JSONArray(File(folder, "cases.json").readText()).let { List(it.length(), it::getJSONObject) }
    private val store by lazy { ModelStore({ File(folder, "assets/$it").inputStream() }, unpacked, "1") }
    private val loader by lazy { ModelLoader(store, LiteRtEngine.FACTORY) }
    private val drawn = cases.filter {
        it.getString("name").let { name -> name.startsWith("drawn") || name == "noise" }
    }

    @Test
    fun `drawn faces in frames`() = frames(drawn)

    @Test
    fun `drawn faces in pictures`() = pictures(drawn)

    @Test
    fun `sample faces in frames`() = frames(samples())

    @Test
    fun `sample faces in pictures`() = pictures(samples())

    @Test
    fun `a GPU that is not there falls back visibly`() {
        val id = store.models().first().id
        val loaded = loader.load(ModelChoice(id, Accelerator.GPU))
        assertEquals(Accelerator.CPU, loaded.info.running)
        assertEquals("no GPU here", loaded.info.fallback)
        loaded.classifier.close()
        loaded.classifier.close()
        assertThrows(EngineException::class.java) { loaded.classifier.classify(store.selfTest(id).crop) }
    }

    @Test
    fun `files that are no models are refused`() {
        val broken = File(unpacked, "broken.tflite").apply { writeBytes(ByteArray(100)) }
        for (file in listOf(broken, File("nowhere.tflite"))) {
            val error = assertThrows(EngineException::class.java) { LiteRtEngine(file) }
            assertTrue(file.name in error.message!!, error.message)
        }
    }

    private fun samples() = (cases - drawn.toSet()).also {
        assumeTrue(it.isNotEmpty()) { "shared/data/sample_faces is not here" }
    }

    private fun frames(cases: List<JSONObject>) = compare(cases, "frame") { recognizer, case, snapshot ->
        val name = case.getString("name")
        val plane = { kind: String, width: Int ->
            Plane(ByteBuffer.wrap(File(folder, "$name.$kind").readBytes()), width, pixelStride = 1)
        }
        val (left, top, width, height) = case.getJSONArray("crop").let { List(4, it::getInt) }
        val chroma = (width + 1) / 2
        val frame = YuvFrame(
            plane("y", width),
            plane("u", chroma),
            plane("v", chroma),
            CropRect(left, top, width, height),
            case.getInt("rotation"),
            case.getBoolean("mirrored")
        )
        recognizer.recognize(frame, 0.0, snapshot)
    }

    private fun pictures(cases: List<JSONObject>) = compare(cases, "picture") { recognizer, case, snapshot ->
        val rgb = File(folder, "${case.getString("name")}.rgb").readBytes()
        snapshot.image.resize(case.getInt("width"), case.getInt("height"))
        rgbToArgb(rgb, snapshot.image.pixels)
        recognizer.recognize(snapshot)
    }

    /** Each model on each case, from anew: one picture smooths nothing. */
    private fun compare(cases: List<JSONObject>, kind: String, recognize: (Recognizer, JSONObject, Snapshot) -> Unit) {
        val snapshot = Snapshot()
        var faces = 0
        var largest = 0.0
        Recognizer().use { recognizer ->
            recognizer.use(loader.detector())
            for (model in store.models()) {
                val loaded = loader.load(ModelChoice(model.id, Accelerator.CPU))
                assertTrue(loaded.info.selfTest.difference < 1e-5, "${model.id}: ${loaded.info.selfTest}")
                recognizer.use(loaded.classifier)
                for (case in cases) {
                    recognizer.restart()
                    recognize(recognizer, case, snapshot)
                    val expected = case.getJSONObject(kind).getJSONArray(model.id)
                    val what = "${model.id} on the $kind ${case.getString("name")}"
                    largest = maxOf(largest, assertSame(expected, snapshot.recognition, what))
                    faces += expected.length()
                }
            }
        }
        assertTrue(faces > 0)
        println("$kind: $faces faces by ${store.models().size} models, largest difference of a probability $largest")
    }

    private fun assertSame(expected: JSONArray, got: Recognition, what: String): Double {
        assertEquals(expected.length(), got.faces.size, "faces: $what")
        var largest = 0.0
        got.faces.forEachIndexed { i, found ->
            val numbers = expected.getJSONObject(i).getJSONArray("numbers").let { List(it.length(), it::getDouble) }
            val face = found.face
            val points = listOf(face.rightEye, face.leftEye, face.nose, face.mouth).flatMap { listOf(it.x, it.y) }
            val ours = with(face.box) { listOf(x, y, width, height) } + points + face.score
            numbers.zip(ours) { a, b -> assertEquals(a, b, 1e-2, "face $i: $what") }
            val row = expected.getJSONObject(i).getJSONArray("probabilities").let { List(it.length(), it::getDouble) }
            row.forEachIndexed { c, value -> largest = maxOf(largest, abs(value - found.probabilities[c])) }
            assertTrue(largest <= 1e-3, "probabilities of face $i differ by $largest: $what")
            assertEquals(expected.getJSONObject(i).getString("expression"), got.card!!.classes[found.top], what)
        }
        return largest
    }
}
