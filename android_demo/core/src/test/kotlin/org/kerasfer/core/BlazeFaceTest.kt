package org.kerasfer.core

import org.json.JSONArray
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class BlazeFaceTest {
    @Test
    fun `decoding and suppression equal Python's`() {
        var faces = 0
        Golden.cases("detections").forEachIndexed { i, case ->
            val decoded = BlazeFace.decode(Golden.floats("values_$i.f32"), Golden.floats("logits_$i.f32"))
            assertRows(case.getJSONArray("decoded"), decoded)
            val blended = BlazeFace.blend(decoded)
            assertRows(case.getJSONArray("faces"), blended)
            faces += blended.size
        }
        assertTrue(faces > 10)
    }

    @Test
    fun `nothing is found where nothing is sure or has a size`() {
        val values = FloatArray(BlazeFace.ANCHORS * BlazeFace.VALUES) { 1f }
        assertEquals(0, BlazeFace.decode(values, FloatArray(BlazeFace.ANCHORS) { -1f }).size)
        assertEquals(0, BlazeFace.decode(FloatArray(values.size), FloatArray(BlazeFace.ANCHORS) { 9f }).size)
        val logits = FloatArray(BlazeFace.ANCHORS) { Float.NaN }
        assertEquals(0, BlazeFace.decode(values, logits).size)
        assertEquals(0, BlazeFace.blend(emptyList()).size)
    }

    private fun assertRows(expected: JSONArray, rows: List<DoubleArray>) {
        assertEquals(expected.length(), rows.size)
        expected.arrays().zip(rows) { row, ours -> assertArrayEquals(row.doubles(), ours, 1e-9) }
    }
}
