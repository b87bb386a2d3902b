package org.kerasfer.demo

import android.content.Context
import android.graphics.Bitmap
import android.graphics.BitmapFactory
import android.graphics.Matrix
import android.media.ExifInterface
import android.net.Uri
import org.kerasfer.core.Image
import org.kerasfer.core.Problem
import org.kerasfer.core.ProblemException
import java.io.ByteArrayInputStream
import java.io.IOException

/** Larger photos are reduced by a half, a quarter...: 12 million pixels are 48 MB of memory. */
private const val MOST_PIXELS = 13_000_000L

/** Larger pictures are more than some phones can draw. */
private const val LONGEST_SIDE = 4096

/**
 * Reads a photo, upright as its EXIF entry says, into [image].
 *
 * @throws ProblemException it cannot be read or decoded.
 */
fun Context.readPhoto(uri: String, image: Image) {
    try {
        val stream = contentResolver.openInputStream(Uri.parse(uri)) ?: throw unreadable(R.string.photo_no_answer)
        val bitmap = upright(stream.use { it.readBytes() })
        image.resize(bitmap.width, bitmap.height)
        bitmap.getPixels(image.pixels, 0, bitmap.width, 0, 0, bitmap.width, bitmap.height)
        bitmap.recycle()
    } catch (error: IOException) {
        throw unreadable(R.string.photo_unread, error)
    } catch (error: SecurityException) {
        throw unreadable(R.string.photo_refused, error)
    } catch (error: OutOfMemoryError) {
        throw unreadable(R.string.photo_too_large, error)
    }
}

private fun Context.unreadable(text: Int, cause: Throwable? = null) =
    ProblemException(Problem.UnreadablePicture(getString(text, cause?.message.orEmpty())), cause)

private fun Context.upright(bytes: ByteArray): Bitmap {
    val options = BitmapFactory.Options().apply { inJustDecodeBounds = true }
    BitmapFactory.decodeByteArray(bytes, 0, bytes.size, options)
    if (options.outWidth <= 0 || options.outHeight <= 0) throw unreadable(R.string.photo_unknown)
    var step = 1
    while (
        options.outWidth.toLong() * options.outHeight / (step * step) > MOST_PIXELS ||
        maxOf(options.outWidth, options.outHeight) / step > LONGEST_SIDE
    ) {
        step *= 2
    }
    val decoding = BitmapFactory.Options().apply {
        inSampleSize = step
        inPreferredConfig = Bitmap.Config.ARGB_8888
    }
    val stored =
        BitmapFactory.decodeByteArray(bytes, 0, bytes.size, decoding) ?: throw unreadable(R.string.photo_damaged)
    val turn = turn(orientation(bytes))
    if (turn.isIdentity) return stored
    return Bitmap.createBitmap(stored, 0, 0, stored.width, stored.height, turn, false).also { stored.recycle() }
}

/** PNGs and the like carry none. */
private fun orientation(bytes: ByteArray): Int = try {
    ExifInterface(ByteArrayInputStream(bytes))
        .getAttributeInt(ExifInterface.TAG_ORIENTATION, ExifInterface.ORIENTATION_NORMAL)
} catch (_: IOException) {
    ExifInterface.ORIENTATION_NORMAL
}

private fun turn(orientation: Int) = Matrix().apply {
    when (orientation) {
        ExifInterface.ORIENTATION_FLIP_HORIZONTAL -> setScale(-1f, 1f)

        ExifInterface.ORIENTATION_ROTATE_180 -> setRotate(180f)

        ExifInterface.ORIENTATION_FLIP_VERTICAL -> setScale(1f, -1f)

        ExifInterface.ORIENTATION_TRANSPOSE -> {
            setRotate(90f)
            postScale(-1f, 1f)
        }

        ExifInterface.ORIENTATION_ROTATE_90 -> setRotate(90f)

        ExifInterface.ORIENTATION_TRANSVERSE -> {
            setRotate(-90f)
            postScale(-1f, 1f)
        }

        ExifInterface.ORIENTATION_ROTATE_270 -> setRotate(-90f)
    }
}
