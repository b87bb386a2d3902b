package org.kerasfer.core

/**
 * What the last frames took: medians, because one slow frame is no trend.
 *
 * @property fps frames a second, 0 before the second frame.
 * @property frames how many the figures stand on.
 */
data class Latency(val milliseconds: Milliseconds, val fps: Double, val frames: Int)

/** Collects the times of the last [WINDOW] frames. Not safe for several threads. */
class LatencyStatistics {
    private val parts = Array(3) { DoubleArray(WINDOW) }
    private val seconds = DoubleArray(WINDOW)
    private val sorted = DoubleArray(WINDOW)
    private var count = 0

    /** Counts a frame; `seconds` is when it was done. */
    fun add(milliseconds: Milliseconds, seconds: Double) {
        val slot = count % WINDOW
        parts[0][slot] = milliseconds.detect
        parts[1][slot] = milliseconds.preprocess
        parts[2][slot] = milliseconds.infer
        this.seconds[slot] = seconds
        count++
    }

    fun summary(): Latency {
        val n = minOf(count, WINDOW)
        val span = if (n < 2) 0.0 else seconds[(count - 1) % WINDOW] - seconds[(count - n) % WINDOW]
        val fps = if (span > 0) (n - 1) / span else 0.0
        return Latency(Milliseconds(median(parts[0], n), median(parts[1], n), median(parts[2], n)), fps, n)
    }

    /** Forgets all frames: another model, another camera. */
    fun reset() {
        count = 0
    }

    private fun median(values: DoubleArray, n: Int): Double {
        if (n == 0) return 0.0
        values.copyInto(sorted, endIndex = n)
        sorted.sort(0, n)
        return (sorted[(n - 1) / 2] + sorted[n / 2]) / 2
    }

    companion object {
        const val WINDOW = 30
    }
}
