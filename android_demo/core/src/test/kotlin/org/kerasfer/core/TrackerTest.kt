package org.kerasfer.core

import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class TrackerTest {
    @Test
    fun `numbers and smoothed probabilities equal Python's`() {
        val tracker = Tracker()
        val cases = Golden.cases("tracks")
        for (case in cases) {
            val boxes = case.getJSONArray("boxes").arrays().map { it.doubles() }
            val probabilities = case.getJSONArray("probabilities").arrays().map { it.doubles() }
            val faces = boxes.zip(probabilities) { box, row -> face(box, row.map { it.toFloat() }.toFloatArray()) }
            val tracked = tracker.track(recognition(faces), case.getDouble("seconds")).faces
            assertEquals(case.getJSONArray("tracks").doubles().map { it.toInt() }, tracked.map { it.track })
            case.getJSONArray("smoothed").arrays().zip(tracked) { row, face ->
                val expected = row.doubles().map { it.toFloat() }.toFloatArray()
                assertArrayEquals(expected, face.probabilities, 1e-6f)
            }
        }
        assertTrue(cases.any { it.getJSONArray("tracks").length() > 2 })
    }

    @Test
    fun `a face that was lost starts anew`() {
        val tracker = Tracker()
        val box = doubleArrayOf(0.0, 0.0, 10.0, 10.0)
        val first = tracker.track(recognition(listOf(face(box, floatArrayOf(1f, 0f)))), 0.0).faces.single()
        val soon = tracker.track(recognition(listOf(face(box, floatArrayOf(0f, 1f)))), 0.1).faces.single()
        assertEquals(first.track, soon.track)
        assertTrue(soon.probabilities[0] > 0.5f)
        val late = tracker.track(recognition(listOf(face(box, floatArrayOf(0f, 1f)))), 0.8).faces.single()
        assertEquals(2, late.track)
        assertArrayEquals(floatArrayOf(0f, 1f), late.probabilities)
    }

    private fun face(box: DoubleArray, probabilities: FloatArray): FaceExpression {
        val point = Point(0.0, 0.0)
        val face = Face(Box(box[0], box[1], box[2], box[3]), point, point, point, point, 0.9)
        return FaceExpression(face, probabilities, Window(point, Point(1.0, 0.0)), ByteArray(0))
    }

    private fun recognition(faces: List<FaceExpression>) = Recognition(faces, null, Milliseconds(0.0, 0.0, 0.0))
}
