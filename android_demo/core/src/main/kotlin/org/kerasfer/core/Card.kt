package org.kerasfer.core

import org.json.JSONArray
import org.json.JSONException
import org.json.JSONObject
import java.io.File
import java.io.IOException
import java.util.zip.ZipException
import java.util.zip.ZipFile

/**
 * What one must know to use a model, from the archive that is appended to its `.tflite` file.
 *
 * @property model its name in keras_fer's registry, such as `mit_fusion`.
 * @property name what people call it.
 * @property classes names of its outputs, in their order.
 * @property inputSize side of the crops that it sees, pixels.
 * @property margin how the crops are framed; see [faceWindow].
 * @property accuracy share of right answers of this file, 0..1, where the card tells.
 * @property accuracyOn the data and split that this was measured on.
 * @property quantization `none`, `float16`, `int8`...
 * @property limits what the model cannot do, a sentence or more; empty where the card does not tell.
 */
data class Card(
    val model: String,
    val name: String,
    val version: String,
    val classes: List<String>,
    val inputSize: Int,
    val margin: Double,
    val eyeHeight: Double,
    val quantization: String,
    val accuracy: Double?,
    val accuracyOn: String?,
    val licence: String,
    val limits: String
) {
    companion object {
        const val MEMBER = "card.json"
        private const val MARGIN = 1.13
        private const val EYE_HEIGHT = 0.39

        /** Larger inputs than any model of the registry takes: a damaged number, not a model. */
        private const val LARGEST_INPUT = 1024

        /**
         * The card inside a `.tflite` file.
         *
         * @throws CardException there is none, or it is broken.
         */
        fun read(file: File): Card {
            val text = try {
                ZipFile(file).use { archive ->
                    val entry = archive.getEntry(MEMBER) ?: throw CardException(file.name, "it carries no card")
                    archive.getInputStream(entry).use { it.readBytes().toString(Charsets.UTF_8) }
                }
            } catch (error: ZipException) {
                throw CardException(file.name, "it carries no card (${error.message})", error)
            } catch (error: IOException) {
                throw CardException(file.name, "it cannot be read (${error.message})", error)
            }
            return parse(text, file.name)
        }

        /**
         * The card that JSON spells; `file` is for the message.
         *
         * @throws CardException it is broken.
         */
        fun parse(json: String, file: String): Card = try {
            build(JSONObject(json))
        } catch (error: JSONException) {
            throw CardException(file, error.message.orEmpty().lineSequence().first(), error)
        } catch (error: IllegalArgumentException) {
            throw CardException(file, error.message.orEmpty(), error)
        }

        private fun build(card: JSONObject): Card {
            val missing = listOf("model", "classes", "input_size").filterNot(card::has)
            require(missing.isEmpty()) { "it lacks ${missing.joinToString()}" }
            val crop = card.optJSONObject("crop") ?: JSONObject()
            val metrics = card.optJSONObject("metrics")
            val file = metrics?.optJSONObject("file")
            val set = listOf("data", "split").mapNotNull { key -> metrics?.optString(key)?.ifEmpty { null } }
            val built = Card(
                model = card.getString("model"),
                name = card.optString("name", card.getString("model")),
                version = card.optString("version", "1"),
                classes = names(card.getJSONArray("classes")),
                inputSize = card.getInt("input_size"),
                margin = number(crop, "margin", MARGIN),
                eyeHeight = number(crop, "eye_height", EYE_HEIGHT),
                quantization = card.optJSONObject("quantization")?.optString("scheme").orEmpty().ifEmpty { "none" },
                accuracy = file?.optDouble("accuracy")?.takeIf { it in 0.0..1.0 },
                accuracyOn = set.joinToString(" ").ifEmpty { null },
                licence = card.optString("licence"),
                limits = card.optString("limits")
            )
            require(built.classes.size >= 2) { "it names ${built.classes.size} classes, at least 2 expected" }
            require(built.classes.toSet().size == built.classes.size) { "it names a class twice: ${built.classes}" }
            require(built.inputSize in 1..LARGEST_INPUT) { "input_size is ${built.inputSize}" }
            require(built.margin > 0 && built.margin < 10) { "margin is ${built.margin}" }
            require(built.eyeHeight > 0 && built.eyeHeight < 1) { "eye_height is ${built.eyeHeight}" }
            return built
        }

        private fun names(array: JSONArray) = List(array.length()) { i ->
            array.get(i) as? String ?: throw JSONException("class $i is no name: ${array.get(i)}")
        }

        private fun number(entries: JSONObject, key: String, default: Double) =
            if (entries.has(key)) entries.getDouble(key) else default
    }
}

/** A model file has no card, or a broken one. */
class CardException(val file: String, val detail: String, cause: Throwable? = null) :
    Exception("$file has no usable card: $detail", cause)
