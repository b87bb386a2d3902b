package org.kerasfer.demo

import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder
import org.kerasfer.litert.LiteRtEngine
import java.io.File
import java.io.IOException
import kotlin.random.Random

class TfliteInputTest {
    @get:Rule
    val folder = TemporaryFolder()

    @Test
    fun itIsWhatLiteRtSays() {
        val files = File(golden, "assets").walk().filter { it.extension == "tflite" }.toList()
        assertEquals(3, files.size)
        for (file in files) {
            val read = TfliteInput.read(file)
            LiteRtEngine(file).use { engine ->
                assertEquals(
                    engine.inputType to engine.inputSize,
                    read.type to read.elements
                )
            }
        }
    }

    @Test
    fun damagedFilesAreRefused() {
        val bytes = File(golden, "assets/models/grid.tflite").readBytes()
        val random = Random(0)
        for (length in listOf(0, 3, 8, 20, 100, 400)) refused(bytes.copyOf(length))
        // Any other exception would fail the test.
        repeat(300) {
            val damaged = bytes.copyOf()
            repeat(40) { damaged[8 + random.nextInt(damaged.size / 2)] = random.nextInt().toByte() }
            val file = folder.newFile().apply { writeBytes(damaged) }
            try {
                TfliteInput.read(file)
            } catch (_: IOException) {
                // Refused with one line.
            }
        }
    }

    private fun refused(bytes: ByteArray) {
        val file = folder.newFile().apply { writeBytes(bytes) }
        assertThrows(IOException::class.java) { TfliteInput.read(file) }
    }
}
