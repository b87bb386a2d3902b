package org.kerasfer.core

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import kotlin.math.hypot

class CropTest {
    @Test
    fun `crops equal Python's`() {
        val sampler = Sampler()
        val cases = Golden.cases("crops")
        assertTrue(cases.size > 20)
        cases.forEachIndexed { i, case ->
            val image = imageOf(
                Golden.bytes("${case.getString("picture")}.rgb"),
                case.getInt("width"),
                case.getInt("height")
            )
            val face = case.getJSONArray("face").doubles()
            val box = Box(face[4], face[5], face[6], face[7])
            val window = faceWindow(Point(face[0], face[1]), Point(face[2], face[3]), box, face[8], face[9])
            val size = face[10].toInt()
            val rgb = ByteArray(3 * size * size)
            sampler.sample(image, window, size, rgb)
            assertTrue(difference(Golden.bytes("crop_$i.rgb"), rgb) <= 1, "crop $i")
        }
    }

    @Test
    fun `a window far outside is grey`() {
        val rgb = ByteArray(3 * 4 * 4)
        for (side in listOf(3.0, 80.0)) {
            Sampler().sample(Image(10, 10), Window(Point(-200.0, 500.0), Point(side, 0.0)), 4, rgb)
            assertTrue(rgb.all { it == 128.toByte() })
        }
    }

    @Test
    fun `corners are where the window lies`() {
        val window = Window(Point(10.0, 20.0), Point(0.0, 4.0))
        assertEquals(4.0, window.side)
        val corners = window.corners()
        assertEquals(listOf(12.0, 18.0, 12.0, 22.0, 8.0, 22.0, 8.0, 18.0), corners.toList())
        for (i in 0 until 4) {
            val next = (i + 1) % 4
            assertEquals(4.0, hypot(corners[2 * next] - corners[2 * i], corners[2 * next + 1] - corners[2 * i + 1]))
        }
    }

    @Test
    fun `a window without a side and a short buffer are refused`() {
        val image = Image(10, 10)
        val window = Window(Point(5.0, 5.0), Point(0.0, 0.0))
        assertThrows(IllegalArgumentException::class.java) { Sampler().sample(image, window, 4, ByteArray(48)) }
        val whole = window.copy(across = Point(9.0, 0.0))
        assertThrows(IllegalArgumentException::class.java) { Sampler().sample(image, whole, 4, ByteArray(47)) }
    }
}
