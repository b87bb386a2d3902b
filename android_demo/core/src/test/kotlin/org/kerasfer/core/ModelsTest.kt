package org.kerasfer.core

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.io.ByteArrayInputStream
import java.io.File
import java.io.FileNotFoundException
import java.nio.ByteBuffer
import java.nio.ByteOrder

class ModelsTest {
    @TempDir
    lateinit var folder: File

    private val assets = HashMap<String, ByteArray>()
    private val opened = ArrayList<FakeEngine>()
    private var opens = 0

    private fun store(stamp: String = "1") = ModelStore({ name ->
        opens++
        ByteArrayInputStream(assets[name] ?: throw FileNotFoundException(name))
    }, folder, stamp)

    private fun put(probabilities: FloatArray = floatArrayOf(0.1f, 0.2f, 0.7f), size: Int = 64) {
        assets["models/index.json"] = """{"models": [{"id": "a", "name": "A", "bytes": 5}]}""".toByteArray()
        assets["models/a.tflite"] = Golden.bytes("cards/whole.tflite")
        val vector = ByteBuffer.allocate(4 + 4 * probabilities.size + 3 * size * size).order(ByteOrder.LITTLE_ENDIAN)
        vector.putInt(probabilities.size)
        probabilities.forEach(vector::putFloat)
        assets["models/a.selftest"] = vector.array()
    }

    private fun loader(answer: (Accelerator) -> Engine) = ModelLoader(store(), { _, accelerator ->
        answer(accelerator)
    })

    private fun engine(accelerator: Accelerator, vararg values: Float, size: Int = 64) =
        FakeEngine(3 * size * size, listOf(3), accelerator = accelerator) { _, output -> values.copyInto(output) }
            .also { opened += it }

    private fun problem(call: () -> Unit): Problem = assertThrows(ProblemException::class.java) { call() }.problem

    @Test
    fun `models are listed, and unpacked once`() {
        put()
        assertEquals(listOf(ModelEntry("a", "A", 5)), store().models())
        val file = store().model("a")
        assertEquals(assets["models/a.tflite"]!!.size.toLong(), file.length())
        val before = opens
        assertEquals(file, store().model("a"))
        assertEquals(before, opens)
    }

    @Test
    fun `another version of the app unpacks anew and leaves nothing behind`() {
        put()
        val old = store("1").model("a")
        val new = store("2").model("a")
        assertFalse(old.exists())
        assertTrue(new.exists())
    }

    @Test
    fun `what is missing or damaged is told`() {
        assertEquals(Problem.MissingAsset("models/index.json"), problem { store().models() })
        for (text in listOf("{", "{}", """{"models": []}""", """{"models": [{}]}""")) {
            assets["models/index.json"] = text.toByteArray()
            assertTrue(problem { store().models() } is Problem.MissingAsset)
        }
        assertEquals(Problem.MissingAsset("models/a.tflite"), problem { store().model("a") })
        assertEquals(Problem.MissingAsset("models/a.selftest"), problem { store().selfTest("a") })
        for (size in listOf(0, 3, 9)) {
            assets["models/a.selftest"] = ByteArray(size) { 2 }
            assertTrue("damaged" in (problem { store().selfTest("a") } as Problem.MissingAsset).name)
        }
        val detector = Problem.MissingAsset("detector/face_detection_short_range.tflite")
        assertEquals(detector, problem { loader { engine(it) }.detector() })
    }

    @Test
    fun `unpacking that fails leaves no half of a model`() {
        put()
        File(folder, "1").writeText("in the way")
        assertEquals(Problem.MissingAsset("models/a.tflite"), problem { store().model("a") })
        assertEquals(listOf("1"), folder.list()!!.toList())
    }

    @Test
    fun `a model that gives the expected numbers is ready`() {
        put()
        val choice = ModelChoice("a", Accelerator.GPU)
        val loaded = loader { engine(it, 0.11f, 0.2f, 0.69f) }.load(choice)
        assertEquals(Accelerator.GPU, loaded.info.running)
        assertNull(loaded.info.fallback)
        assertEquals(0.01, loaded.info.selfTest.difference, 1e-6)
        assertEquals("MiT-fusion", loaded.info.card.name)
        assertEquals(0, opened.single().closed)
    }

    @Test
    fun `a GPU that fails, gives other numbers or leaves parts to the CPU falls back visibly`() {
        put()
        val choice = ModelChoice("a", Accelerator.GPU)
        val right = floatArrayOf(0.1f, 0.2f, 0.7f)
        val refuses = loader { if (it == Accelerator.GPU) throw EngineException("no driver") else engine(it, *right) }
        assertFallback(refuses.load(choice), "no driver")
        val wrong = loader { if (it == Accelerator.GPU) engine(it, 0.7f, 0.2f, 0.1f) else engine(it, *right) }
        assertFallback(wrong.load(choice), "the GPU is 0.600 off")
        val nan = loader { if (it == Accelerator.GPU) engine(it, Float.NaN, 0f, 0f) else engine(it, *right) }
        assertFallback(nan.load(choice), "NaN")
        val partly = loader { engine(Accelerator.CPU, *right) }
        assertFallback(partly.load(choice), "does not take the whole model")
        // Only what is used stays open.
        assertEquals(4, opened.count { it.closed == 0 })
        assertTrue(opened.filter { it.accelerator == Accelerator.GPU }.all { it.closed == 1 })
    }

    @Test
    fun `models that cannot be used say why, and are closed`() {
        put()
        val choice = ModelChoice("a", Accelerator.CPU)
        val wrong = problem { loader { engine(it, 0.7f, 0.2f, 0.1f) }.load(choice) } as Problem.WrongNumbers
        assertTrue("0.600" in wrong.detail && wrong.file == "a.tflite", wrong.toString())
        val broken = problem { loader { throw EngineException("status 3") }.load(choice) }
        assertEquals(Problem.BrokenModel("a.tflite", "status 3"), broken)
        val size = problem { loader { engine(it, size = 48) }.load(choice) } as Problem.UnsupportedModel
        assertTrue("64 x 64" in size.detail, size.toString())
        put(floatArrayOf(0.5f, 0.5f))
        assertTrue(problem { loader { engine(it, 0.5f) }.load(choice) } is Problem.UnsupportedModel)
        assertTrue(opened.all { it.closed == 1 })
    }

    @Test
    fun `a model without a card is told`() {
        put()
        assets["models/a.tflite"] = Golden.bytes("cards/no_classes.tflite")
        val problem = problem { loader { engine(it) }.load(ModelChoice("a", Accelerator.GPU)) } as Problem.BrokenCard
        assertEquals("a.tflite" to "it lacks classes", problem.file to problem.detail)
    }

    @Test
    fun `a detector that is another model is told and closed`() {
        assets["detector/face_detection_short_range.tflite"] = ByteArray(3)
        assertTrue(problem { loader { engine(it) }.detector() } is Problem.BrokenModel)
        assertEquals(1, opened.single().closed)
        loader { FakeEngine.detector() }.detector().close()
    }

    private fun assertFallback(loaded: LoadedModel, told: String) {
        assertEquals(Accelerator.CPU, loaded.info.running)
        assertTrue(told in loaded.info.fallback!!, loaded.info.fallback)
    }
}
