package org.kerasfer.core

import kotlin.math.exp

/**
 * Gives each face a number that it keeps, and smooths its probabilities over time, as `keras_fer.tracking` does.
 *
 * A face is the one of an earlier frame whose box it overlaps by 0.3 or more (intersection over union); the pairs that
 * overlap most are settled first. Its probabilities then follow the new ones with a time constant of 0.35 seconds,
 * whatever the frame rate. A face that was not seen for 0.6 seconds is forgotten: whoever comes next starts anew.
 */
class Tracker {
    private class Track(val number: Int, var box: DoubleArray, val probabilities: DoubleArray, var seen: Double)

    private val tracks = ArrayList<Track>()
    private var next = 1

    /** The frame's faces with their numbers, smoothed; `seconds` is the frame's time, not before the last one's. */
    fun track(recognition: Recognition, seconds: Double): Recognition {
        tracks.removeAll { seconds - it.seen > LOST_AFTER }
        val boxes = recognition.faces.map { with(it.face.box) { doubleArrayOf(x, y, width, height) } }
        val known = pairs(boxes)
        val faces = recognition.faces.mapIndexed { i, face ->
            val track = known[i]
            if (track == null) {
                val values = DoubleArray(face.probabilities.size) { face.probabilities[it].toDouble() }
                tracks += Track(next, boxes[i], values, seconds)
                face.copy(track = next++)
            } else {
                val weight = 1 - exp(-(seconds - track.seen) / TIME_CONSTANT)
                val smooth = track.probabilities
                for (c in smooth.indices) smooth[c] += weight * (face.probabilities[c] - smooth[c])
                track.box = boxes[i]
                track.seen = seconds
                face.copy(probabilities = FloatArray(smooth.size) { smooth[it].toFloat() }, track = track.number)
            }
        }
        return recognition.copy(faces = faces)
    }

    /** For each new box its track, where there is one; each track is used once. */
    private fun pairs(boxes: List<DoubleArray>): Array<Track?> {
        val found = arrayOfNulls<Track>(boxes.size)
        val free = tracks.toMutableList()
        while (free.isNotEmpty()) {
            var best = LEAST_OVERLAP
            var box = -1
            var track: Track? = null
            for (i in boxes.indices) {
                if (found[i] != null) continue
                for (candidate in free) {
                    val overlap = BlazeFace.overlap(boxes[i], candidate.box)
                    // The first of equals counts, but what just reaches the least overlap counts too.
                    if (overlap > best || (track == null && overlap == best)) {
                        best = overlap
                        box = i
                        track = candidate
                    }
                }
            }
            found[if (track == null) break else box] = track
            free.remove(track)
        }
        return found
    }

    private companion object {
        const val LEAST_OVERLAP = 0.3
        const val TIME_CONSTANT = 0.35
        const val LOST_AFTER = 0.6
    }
}
