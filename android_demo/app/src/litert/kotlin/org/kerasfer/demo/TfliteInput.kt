package org.kerasfer.demo

import org.kerasfer.core.TensorType
import java.io.File
import java.io.IOException
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.channels.FileChannel

/**
 * The first input of a `.tflite` file, read from the file itself (TensorFlow's schema.fbs): LiteRT's Kotlin interface
 * tells it only to those who know the input's name.
 *
 * @property elements how many numbers it takes.
 */
class TfliteInput(val type: TensorType, val elements: Int) {
    companion object {
        private const val FLOAT32 = 0
        private const val UINT8 = 3
        private const val DAMAGED = "it is cut off or damaged"

        /** @throws IOException the file is no model, or its input has another type. */
        fun read(file: File): TfliteInput = try {
            val bytes = file.inputStream().use { it.channel.map(FileChannel.MapMode.READ_ONLY, 0, file.length()) }
            if (bytes.capacity() < 8 || String(ByteArray(4) { bytes.get(4 + it) }, Charsets.US_ASCII) != "TFL3") {
                throw IOException("it does not begin like a .tflite file")
            }
            read(bytes.order(ByteOrder.LITTLE_ENDIAN))
        } catch (error: IndexOutOfBoundsException) {
            throw IOException(DAMAGED, error)
        } catch (error: NoSuchElementException) {
            throw IOException(DAMAGED, error)
        }

        private fun read(bytes: ByteBuffer): TfliteInput {
            val model = Table(bytes, bytes.getInt(0))
            val graph = model.tables(field = 2).first()
            val tensor = graph.tables(field = 0)[graph.ints(field = 1).first()]
            val type = when (val code = tensor.byte(field = 1)) {
                FLOAT32 -> TensorType.FLOAT32
                UINT8 -> TensorType.UINT8
                else -> throw IOException("its input has type $code, neither float32 nor uint8")
            }
            return TfliteInput(type, tensor.ints(field = 0).fold(1, Int::times))
        }
    }

    /** A table of a flatbuffer: absent fields are empty or 0. */
    private class Table(private val bytes: ByteBuffer, private val start: Int) {
        fun byte(field: Int): Int = place(field)?.let { bytes.get(it).toInt() } ?: 0

        fun ints(field: Int): List<Int> = vector(field) { bytes.getInt(it) }

        fun tables(field: Int): List<Table> = vector(field) { Table(bytes, it + bytes.getInt(it)) }

        private fun <T> vector(field: Int, element: (Int) -> T): List<T> {
            val vector = place(field)?.let { it + bytes.getInt(it) } ?: return emptyList()
            val length = bytes.getInt(vector)
            if (length !in 0..bytes.capacity() / 4) throw IndexOutOfBoundsException()
            return List(length) { element(vector + 4 + 4 * it) }
        }

        private fun place(field: Int): Int? {
            val fields = start - bytes.getInt(start)
            val entry = 4 + 2 * field
            if (entry + 2 > bytes.getShort(fields)) return null
            return bytes.getShort(fields + entry).toInt().takeIf { it != 0 }?.let { start + it }
        }
    }
}
