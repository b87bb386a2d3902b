package org.kerasfer.core

import org.json.JSONException
import org.json.JSONObject
import java.io.File
import java.io.IOException
import java.io.InputStream
import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.math.abs

/** What can go wrong; each has a state on the screen. `detail` is for the curious and for bug reports. */
sealed interface Problem {
    /** Something that `python -m export.android` puts into the app is not there. */
    data class MissingAsset(val name: String) : Problem

    data class BrokenCard(val file: String, val detail: String) : Problem

    /** The model's input or output is not what its card says. */
    data class UnsupportedModel(val file: String, val detail: String) : Problem

    /** The file cannot be loaded as a model, or it fails when it runs. */
    data class BrokenModel(val file: String, val detail: String) : Problem

    /** The model runs, but its answer to the self-test is wrong. */
    data class WrongNumbers(val file: String, val detail: String) : Problem

    data object NoCamera : Problem

    data object CameraInUse : Problem

    data object CameraDisconnected : Problem

    data class CameraFailed(val detail: String) : Problem

    data class UnreadablePicture(val detail: String) : Problem
}

/** Bad input of the app's own, as the [Problem] that it shows. */
class ProblemException(val problem: Problem, cause: Throwable? = null) : Exception(problem.toString(), cause)

/**
 * A model that the app brings along.
 *
 * @property id its file's name without suffix: what the picker and the settings remember.
 */
data class ModelEntry(val id: String, val name: String, val bytes: Long)

/**
 * A face crop and what the model said of it on the training machine.
 *
 * @property crop RGB bytes.
 */
class SelfTestVector(val crop: ByteArray, val probabilities: FloatArray)

/**
 * What the app brings along, as `python -m export.android` laid it out:
 *
 *     models/index.json        {"models": [{"id", "name", "bytes"}]}, the default first
 *     models/ID.tflite         with its card inside
 *     models/ID.selftest       int32 classes, float32 probabilities, then the crop's bytes; little-endian
 *     detector/face_detection_short_range.tflite
 *
 * @param open an asset by its name; throws an [IOException] where there is none.
 * @param folder where models are unpacked to, since runtimes open files; it may be emptied at any time.
 * @param stamp changes with every version of the app: what another version unpacked is not used.
 */
class ModelStore(private val open: (String) -> InputStream, private val folder: File, private val stamp: String) {
    /** @throws ProblemException the index is missing or names no model. */
    fun models(): List<ModelEntry> {
        val text = asset(INDEX) { it.readBytes().toString(Charsets.UTF_8) }
        val models = try {
            val array = JSONObject(text).getJSONArray("models")
            List(array.length()) { i ->
                with(array.getJSONObject(i)) { ModelEntry(getString("id"), getString("name"), getLong("bytes")) }
            }
        } catch (error: JSONException) {
            throw ProblemException(Problem.MissingAsset("$INDEX (${error.message})"), error)
        }
        if (models.isEmpty()) throw ProblemException(Problem.MissingAsset("$INDEX (it names no model)"))
        return models
    }

    /** @throws ProblemException the model is missing, or there is no room to unpack it. */
    fun model(id: String): File = unpack("models/$id.tflite")

    /** @throws ProblemException the detector is missing, or there is no room to unpack it. */
    fun detector(): File = unpack(DETECTOR)

    /** @throws ProblemException the vector is missing or broken. */
    fun selfTest(id: String): SelfTestVector {
        val name = "models/$id.selftest"
        val data = ByteBuffer.wrap(asset(name) { it.readBytes() }).order(ByteOrder.LITTLE_ENDIAN)
        val classes = if (data.remaining() >= 4) data.getInt() else 0
        if (classes !in 1..1000 || data.remaining() < 4 * classes) {
            throw ProblemException(Problem.MissingAsset("$name (it is damaged)"))
        }
        val probabilities = FloatArray(classes) { data.getFloat() }
        return SelfTestVector(ByteArray(data.remaining()).also(data::get), probabilities)
    }

    private fun unpack(name: String): File {
        val target = File(folder, "$stamp/$name")
        if (target.isFile) return target
        folder.listFiles()?.filter { it.name != stamp }?.forEach { it.deleteRecursively() }
        val parent = target.parentFile!!
        val temporary = File(parent, target.name + ".part")
        return asset(name) { input ->
            parent.mkdirs()
            temporary.outputStream().use { input.copyTo(it) }
            if (!temporary.renameTo(target)) throw IOException("$temporary cannot be renamed")
            target
        }
    }

    private fun <T> asset(name: String, use: (InputStream) -> T): T = try {
        open(name).use(use)
    } catch (error: IOException) {
        throw ProblemException(Problem.MissingAsset(name), error)
    }

    private companion object {
        const val INDEX = "models/index.json"
        const val DETECTOR = "detector/face_detection_short_range.tflite"
    }
}

/** The model that the user asks for. */
data class ModelChoice(val id: String, val accelerator: Accelerator)

/**
 * How a model's answer to its self-test compares with the training machine's.
 *
 * @property difference the largest of any probability.
 * @property milliseconds of the run.
 */
data class SelfTest(val difference: Double, val milliseconds: Double)

/**
 * A model that is ready.
 *
 * @property running what really computes it.
 * @property fallback why that is not what was asked for; null where it is.
 */
data class ModelInfo(
    val choice: ModelChoice,
    val card: Card,
    val running: Accelerator,
    val selfTest: SelfTest,
    val fallback: String? = null
)

/** A classifier and what is to be said of it. */
class LoadedModel(val classifier: Classifier, val info: ModelInfo)

/** Opens models, tests them, and falls back to the CPU where the GPU fails or gives other numbers. */
class ModelLoader(
    private val store: ModelStore,
    private val factory: EngineFactory,
    private val clock: () -> Long = System::nanoTime
) {
    /** @throws ProblemException the detector is missing or broken. */
    fun detector(): FaceDetector {
        val file = store.detector()
        var engine: Engine? = null
        try {
            return FaceDetector(factory.open(file, Accelerator.CPU).also { engine = it })
        } catch (error: EngineException) {
            engine?.close()
            throw ProblemException(Problem.BrokenModel(file.name, error.message.orEmpty()), error)
        }
    }

    /** @throws ProblemException the model is missing, broken, does not fit its card, or gives wrong numbers on the CPU. */
    fun load(choice: ModelChoice): LoadedModel {
        val file = store.model(choice.id)
        val card = try {
            Card.read(file)
        } catch (error: CardException) {
            throw ProblemException(Problem.BrokenCard(error.file, error.detail), error)
        }
        val vector = store.selfTest(choice.id)
        if (choice.accelerator == Accelerator.CPU) return open(file, card, vector, choice, Accelerator.CPU)
        val reason = try {
            return open(file, card, vector, choice, choice.accelerator)
        } catch (error: ProblemException) {
            when (val problem = error.problem) {
                is Problem.BrokenModel -> problem.detail
                is Problem.WrongNumbers -> problem.detail
                else -> throw error
            }
        }
        val loaded = open(file, card, vector, choice, Accelerator.CPU)
        return LoadedModel(loaded.classifier, loaded.info.copy(fallback = reason))
    }

    private fun open(
        file: File,
        card: Card,
        vector: SelfTestVector,
        choice: ModelChoice,
        accelerator: Accelerator
    ): LoadedModel {
        var engine: Engine? = null
        try {
            val classifier = Classifier(card, factory.open(file, accelerator).also { engine = it })
            val test = test(file, classifier, vector)
            val running = classifier.accelerator
            val fallback = if (running == accelerator) null else "the $accelerator does not take the whole model"
            return LoadedModel(classifier, ModelInfo(choice, card, running, test, fallback))
        } catch (error: UnsupportedModelException) {
            engine?.close()
            throw ProblemException(Problem.UnsupportedModel(file.name, error.message.orEmpty()), error)
        } catch (error: EngineException) {
            engine?.close()
            throw ProblemException(Problem.BrokenModel(file.name, error.message.orEmpty()), error)
        } catch (error: ProblemException) {
            engine?.close()
            throw error
        }
    }

    private fun test(file: File, classifier: Classifier, vector: SelfTestVector): SelfTest {
        val expected = vector.probabilities
        if (vector.crop.size != classifier.inputBytes || expected.size != classifier.card.classes.size) {
            throw ProblemException(Problem.UnsupportedModel(file.name, "its self-test belongs to another model"))
        }
        val start = clock()
        val got = classifier.classify(vector.crop)
        val milliseconds = (clock() - start) / 1e6
        val difference = expected.indices.maxOf { abs(expected[it] - got[it]).toDouble() }
        if (difference > TOLERANCE) {
            val detail = "the ${classifier.accelerator} is %.3f off in the self-test".format(
                java.util.Locale.ROOT,
                difference
            )
            throw ProblemException(Problem.WrongNumbers(file.name, detail))
        }
        return SelfTest(difference, milliseconds)
    }

    companion object {
        /**
         * Of a probability. A GPU computes in half precision, and another CPU's float sums tip an int8 step now and
         * then (up to 0.022 was seen; a wrong mean is 0.1 off).
         */
        const val TOLERANCE = 0.05
    }
}
