package org.kerasfer.core

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertSame
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.util.concurrent.CountDownLatch
import java.util.concurrent.Executors
import java.util.concurrent.TimeUnit
import java.util.concurrent.atomic.AtomicInteger
import kotlin.concurrent.thread

class HandoverTest {
    @Test
    fun `a slow model drops frames and never queues them`() {
        val gate = FrameGate()
        val worker = Executors.newSingleThreadExecutor()
        val running = AtomicInteger()
        val most = AtomicInteger()
        var done = 0
        val release = CountDownLatch(1)
        val accepted = (1..100).count {
            gate.enter().also { entered ->
                if (entered) {
                    worker.execute {
                        most.accumulateAndGet(running.incrementAndGet(), ::maxOf)
                        release.await()
                        done++
                        running.decrementAndGet()
                        gate.leave()
                    }
                }
            }
        }
        release.countDown()
        worker.shutdown()
        assertTrue(worker.awaitTermination(10, TimeUnit.SECONDS))
        assertEquals(listOf(1, 99, 1, 1), listOf(accepted, gate.dropped, done, most.get()))
        assertTrue(gate.enter())
        gate.leave()
        assertThrows(IllegalStateException::class.java) { gate.leave() }
    }

    @Test
    fun `the newest is shown, and what is shown is not filled`() {
        var made = 0
        val handover = Handover { IntArray(1).also { made++ } }
        assertNull(handover.front())
        repeat(3) { i ->
            handover.back()[0] = i
            handover.publish()
        }
        val shown = handover.front()!!
        assertEquals(2, shown[0])
        assertSame(shown, handover.front())
        repeat(4) {
            assertFalse(handover.back() === shown)
            handover.back()[0] = 9
            handover.publish()
        }
        assertEquals(2, shown[0])
        assertEquals(9, handover.front()!![0])
        assertEquals(3, made)
        handover.clear()
        assertNull(handover.front())
    }

    @Test
    fun `between two threads nothing is torn and nothing goes back`() {
        val handover = Handover { LongArray(64) }
        val last = 20_000L
        val filler = thread {
            for (value in 1..last) {
                handover.back().fill(value)
                handover.publish()
            }
        }
        var seen = 0L
        while (seen < last) {
            val front = handover.front() ?: continue
            val value = front[0]
            assertTrue(front.all { it == value })
            assertTrue(value >= seen)
            seen = value
        }
        filler.join()
    }
}
