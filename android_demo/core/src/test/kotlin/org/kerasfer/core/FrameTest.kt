package org.kerasfer.core

import org.json.JSONObject
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertSame
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.nio.ByteBuffer

class FrameTest {
    private val converter = FrameConverter()
    private val image = Image()

    @Test
    fun `YUV frames become OpenCV's upright pictures`() = forEachCase { case, stem, crop ->
        val strides = case.getJSONObject("strides")
        val chroma = { name: String ->
            Plane(direct(Golden.bytes("$stem.$name")), strides.getInt("chroma"), case.getInt("chroma_pixel"))
        }
        val frame = YuvFrame(
            Plane(direct(Golden.bytes("$stem.y")), strides.getInt("y"), 1),
            chroma("u"),
            chroma("v"),
            crop,
            case.getInt("rotation"),
            case.getBoolean("mirrored"),
            case.getBoolean("full")
        )
        converter.convert(frame, image)
        assertEquals(0, difference(Golden.bytes("$stem.yuv_upright"), image.rgb()), stem)
    }

    @Test
    fun `RGBA frames become OpenCV's upright pictures`() = forEachCase { case, stem, crop ->
        val plane = Plane(
            ByteBuffer.wrap(Golden.bytes("$stem.rgba")),
            case.getJSONObject("strides").getInt("rgba"),
            pixelStride = 4
        )
        converter.convert(RgbaFrame(plane, crop, case.getInt("rotation"), case.getBoolean("mirrored")), image)
        assertEquals(0, difference(Golden.bytes("$stem.rgba_upright"), image.rgb()), stem)
    }

    @Test
    fun `the buffer's own position and limit are neither used nor moved`() {
        val buffer = ByteBuffer.wrap(ByteArray(4 * 6) { it.toByte() })
        buffer.position(8).limit(9)
        converter.convert(RgbaFrame(Plane(buffer, 12, 4), CropRect(0, 0, 3, 2)), image)
        assertEquals(0xFF000102.toInt(), image.pixels[0])
        assertEquals(listOf(8, 9), listOf(buffer.position(), buffer.limit()))
    }

    @Test
    fun `smaller pictures reuse the pixels of larger ones`() {
        val plane = Plane(ByteBuffer.allocate(64), 16, 4)
        converter.convert(RgbaFrame(plane, CropRect(0, 0, 4, 4)), image)
        val pixels = image.pixels
        converter.convert(RgbaFrame(plane, CropRect(1, 0, 2, 3), rotation = 90), image)
        assertSame(pixels, image.pixels)
        assertEquals(3 to 2, image.width to image.height)
    }

    @Test
    fun `a plane that is too small is told`() {
        val frame = RgbaFrame(Plane(ByteBuffer.allocate(62), 16, 4), CropRect(0, 0, 4, 4))
        val error = assertThrows(IllegalArgumentException::class.java) { converter.convert(frame, image) }
        assertTrue("62 bytes" in error.message!!, error.message)
    }

    @Test
    fun `other turns and empty crops are refused`() {
        val plane = Plane(ByteBuffer.allocate(64), 16, 4)
        assertThrows(IllegalArgumentException::class.java) { RgbaFrame(plane, CropRect(0, 0, 4, 4), rotation = 45) }
        assertThrows(IllegalArgumentException::class.java) { RgbaFrame(plane, CropRect(0, 0, 0, 4)) }
    }

    private fun direct(bytes: ByteArray): ByteBuffer = ByteBuffer.allocateDirect(bytes.size).put(bytes)

    private fun forEachCase(check: (JSONObject, String, CropRect) -> Unit) {
        val cases = Golden.cases("frames")
        assertEquals(40, cases.size)
        for (case in cases) {
            val (left, top, width, height) = case.getJSONArray("crop").doubles().map { it.toInt() }
            check(case, case.getString("stem"), CropRect(left, top, width, height))
        }
    }
}
