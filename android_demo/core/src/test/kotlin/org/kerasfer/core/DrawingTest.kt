package org.kerasfer.core

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class DrawingTest {
    @Test
    fun `a picture fits or fills the screen, its middle in the middle`() {
        val fit = Placement.fit(640, 480, 1000, 2000)
        assertEquals(listOf(0.0, 625.0), listOf(fit.left, fit.top))
        assertEquals(listOf(1000.0, 1375.0), listOf(fit.x(640.0), fit.y(480.0)))
        val fill = Placement.fill(640, 480, 1000, 2000)
        assertEquals(500.0, fill.x(320.0), 1e-9)
        assertEquals(0.0, fill.y(0.0), 1e-9)
        assertEquals(2000.0, fill.y(480.0), 1e-9)
        assertTrue(fill.left < 0)
        assertEquals(Placement(1.0, 0.0, 0.0), Placement.fit(0, 0, 100, 100))
    }

    @Test
    fun `labels stay on the screen`() {
        val placement = Placement.fit(100, 100, 1000, 1000)
        val places = listOf(Point(50.0, 50.0), Point(2.0, 2.0), Point(98.0, 98.0), Point(50.0, -300.0))
        val faces = places.map { centre ->
            val face = Face(Box(0.0, 0.0, 1.0, 1.0), centre, centre, centre, centre, 1.0)
            FaceExpression(face, floatArrayOf(0.2f, 0.8f), Window(centre, Point(20.0, 0.0)), ByteArray(0))
        }
        val marks = faceMarks(faces, placement, 1000, 1000, labelWidth = 300f, labelHeight = 80f)
        assertEquals(listOf(400f, 400f, 600f, 400f, 600f, 600f, 400f, 600f), marks[0].corners.toList())
        assertEquals(listOf(400f, 320f), listOf(marks[0].labelLeft, marks[0].labelTop))
        assertEquals(listOf(0f, 120f), listOf(marks[1].labelLeft, marks[1].labelTop))
        assertEquals(listOf(700f, 800f), listOf(marks[2].labelLeft, marks[2].labelTop))
        assertTrue(marks.all { it.labelLeft in 0f..700f && it.labelTop in 0f..920f })
        assertEquals(1, faces[0].top)
    }

    @Test
    fun `statistics are medians of the last frames`() {
        val statistics = LatencyStatistics()
        assertEquals(Latency(Milliseconds(0.0, 0.0, 0.0), 0.0, 0), statistics.summary())
        for (i in 0 until 100) {
            val slow = if (i % 7 == 0) 500.0 else 0.0
            statistics.add(Milliseconds(5 + slow, 2.0, i.toDouble()), i * 0.05)
        }
        val summary = statistics.summary()
        assertEquals(Milliseconds(5.0, 2.0, 84.5), summary.milliseconds)
        assertEquals(20.0, summary.fps, 1e-9)
        assertEquals(LatencyStatistics.WINDOW, summary.frames)
        assertEquals(91.5, summary.milliseconds.total)
        statistics.reset()
        assertEquals(0, statistics.summary().frames)
    }
}
