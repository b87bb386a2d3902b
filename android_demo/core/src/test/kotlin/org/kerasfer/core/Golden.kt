package org.kerasfer.core

import org.json.JSONArray
import org.json.JSONObject
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder

/** What Python wrote: `python -m tests.android_golden android_demo/core/target/golden`, or all by `make test-android`. */
object Golden {
    private val folder = File(System.getProperty("golden", "target/golden"))

    fun file(name: String): File {
        val file = File(folder, name)
        check(file.exists()) { "${file.absolutePath} is missing: make test-android writes it" }
        return file
    }

    fun bytes(name: String): ByteArray = file(name).readBytes()

    fun floats(name: String): FloatArray {
        val data = ByteBuffer.wrap(bytes(name)).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer()
        return FloatArray(data.remaining()).also(data::get)
    }

    fun cases(name: String): List<JSONObject> = JSONArray(file("$name.json").readText()).objects()
}

fun JSONArray.objects(): List<JSONObject> = List(length()) { getJSONObject(it) }

fun JSONArray.arrays(): List<JSONArray> = List(length()) { getJSONArray(it) }

fun JSONArray.doubles(): DoubleArray = DoubleArray(length()) { getDouble(it) }

fun imageOf(rgb: ByteArray, width: Int, height: Int) =
    Image(width, height).also { rgbToArgb(rgb, it.pixels, width * height) }

fun Image.rgb() = ByteArray(3 * width * height) { i -> (pixels[i / 3] shr (16 - 8 * (i % 3))).toByte() }

/** The largest difference of two pictures in grey levels. */
fun difference(a: ByteArray, b: ByteArray): Int {
    check(a.size == b.size) { "${a.size} bytes for ${b.size}" }
    return a.indices.maxOf { kotlin.math.abs((a[it].toInt() and 0xFF) - (b[it].toInt() and 0xFF)) }
}
