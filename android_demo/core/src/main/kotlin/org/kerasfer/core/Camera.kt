package org.kerasfer.core

import kotlin.math.abs
import kotlin.math.max
import kotlin.math.min

enum class Lens {
    FRONT,
    BACK;

    val other: Lens get() = if (this == FRONT) BACK else FRONT
}

data class PictureSize(val width: Int, val height: Int)

/**
 * A camera as its system describes it.
 *
 * @property sensorOrientation degrees clockwise by which its pictures must be turned to be upright on a phone that is
 *   held in its natural orientation (`CameraCharacteristics.SENSOR_ORIENTATION`).
 * @property sizes of the YUV_420_888 frames that it delivers.
 */
data class CameraInfo(val id: String, val lens: Lens, val sensorOrientation: Int, val sizes: List<PictureSize>)

/**
 * Degrees clockwise by which a camera's frame must be turned to be upright on the screen.
 *
 * A front camera looks the other way, so the screen's own turn counts against it.
 *
 * @param displayRotation of the screen, 0, 90, 180 or 270 degrees (`Surface.ROTATION_*` times 90).
 */
fun frameRotation(lens: Lens, sensorOrientation: Int, displayRotation: Int): Int {
    val turn = if (lens == Lens.FRONT) sensorOrientation + displayRotation else sensorOrientation - displayRotation
    return Math.floorMod(turn, 360)
}

/** Whether people expect a mirror: of the camera that faces them. */
fun mirrored(lens: Lens): Boolean = lens == Lens.FRONT

/**
 * The size of frames to ask a camera for: the smallest whose shorter side has [short] pixels, those of 4 : 3 first, as
 * sensors are; where none is that large, the largest.
 *
 * @throws IllegalArgumentException the camera offers none.
 */
fun chooseSize(sizes: List<PictureSize>, short: Int = 480): PictureSize {
    require(sizes.isNotEmpty()) { "the camera offers no size of YUV_420_888 frames" }
    val enough = sizes.filter { min(it.width, it.height) >= short }
    if (enough.isEmpty()) return sizes.maxBy { it.width.toLong() * it.height }
    // A slightly larger 4 : 3 is worth it, a four times larger one is not.
    return enough.minBy { size ->
        val ratio = max(size.width, size.height) / min(size.width, size.height).toDouble()
        val area = size.width.toDouble() * size.height
        area * if (abs(ratio - 4 / 3.0) < 0.01) 1.0 else 1.5
    }
}
