package org.kerasfer.core

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Test
import org.junit.jupiter.params.ParameterizedTest
import org.junit.jupiter.params.provider.CsvSource

class CameraTest {
    @ParameterizedTest
    @CsvSource(
        // A common phone: back sensor at 90 degrees, front sensor at 270; screen upright and turned.
        "BACK, 90, 0, 90",
        "BACK, 90, 90, 0",
        "BACK, 90, 180, 270",
        "BACK, 90, 270, 180",
        "FRONT, 270, 0, 270",
        "FRONT, 270, 90, 0",
        "FRONT, 270, 180, 90",
        "FRONT, 270, 270, 180",
        // A tablet whose natural orientation is landscape, and a Nexus 5X, mounted upside down.
        "BACK, 0, 0, 0",
        "BACK, 0, 90, 270",
        "BACK, 270, 0, 270",
        "FRONT, 0, 90, 90"
    )
    fun `frames turn upright`(lens: Lens, sensor: Int, display: Int, expected: Int) {
        assertEquals(expected, frameRotation(lens, sensor, display))
    }

    @ParameterizedTest
    @CsvSource(
        "4032x3024 1920x1080 1280x720 640x480 320x240, 640x480",
        "1920x1080 1280x960 1280x720 720x480, 720x480",
        "1920x1080 1280x720 800x600, 800x600",
        "352x288 320x240, 352x288",
        "1280x720 1920x1440, 1280x720",
        "480x640 240x320, 480x640"
    )
    fun `frames are as small as serves`(sizes: String, expected: String) {
        val size = { text: String -> text.split('x').map { it.toInt() }.let { PictureSize(it[0], it[1]) } }
        assertEquals(size(expected), chooseSize(sizes.split(' ').map(size)))
    }

    @Test
    fun `a camera without sizes is refused`() {
        assertThrows(IllegalArgumentException::class.java) { chooseSize(emptyList()) }
    }

    @Test
    fun `only the camera that faces people is a mirror`() {
        assertEquals(listOf(Lens.FRONT), Lens.entries.filter(::mirrored))
        assertEquals(Lens.BACK, Lens.FRONT.other)
    }
}
