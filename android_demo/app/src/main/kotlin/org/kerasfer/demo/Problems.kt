package org.kerasfer.demo

import android.content.Context
import org.kerasfer.core.Accelerator
import org.kerasfer.core.Permission
import org.kerasfer.core.Problem

/** What the big button of a message does. */
enum class MessageAction { NONE, ASK, OPEN_SETTINGS, RETRY, CHOOSE_MODEL, CHOOSE_PHOTO }

/**
 * What fills the screen where there is no picture.
 *
 * @property button what the big button says; null where there is none.
 * @property offersPhotos whether a photo could be looked at instead.
 */
data class Message(
    val icon: Int,
    val title: String,
    val text: String,
    val action: MessageAction,
    val button: String?,
    val offersPhotos: Boolean
)

fun Context.accelerator(accelerator: Accelerator): String =
    getString(if (accelerator == Accelerator.GPU) R.string.gpu else R.string.cpu)

fun Context.message(permission: Permission): Message = when (permission) {
    Permission.DENIED -> ask(R.string.denied_title, R.string.denied_text, MessageAction.ASK, R.string.denied_action)

    Permission.DENIED_FOR_GOOD ->
        ask(R.string.blocked_title, R.string.blocked_text, MessageAction.OPEN_SETTINGS, R.string.blocked_action)

    Permission.ASKED -> ask(R.string.asked_title, R.string.ask_text, MessageAction.NONE, null)

    else -> ask(R.string.ask_title, R.string.ask_text, MessageAction.ASK, R.string.ask_action)
}

private fun Context.ask(title: Int, text: Int, action: MessageAction, button: Int?) =
    Message(R.drawable.ic_camera, getString(title), getString(text), action, button?.let(::getString), true)

/** @param models how many there are to choose from. */
fun Context.message(problem: Problem, models: Int): Message = when (problem) {
    is Problem.MissingAsset ->
        trouble(R.string.missing_asset_title, getString(R.string.missing_asset_text, problem.name))

    is Problem.BrokenCard ->
        model(models, R.string.broken_card_title, getString(R.string.broken_card_text, problem.file, problem.detail))

    is Problem.UnsupportedModel ->
        model(models, R.string.unsupported_title, getString(R.string.unsupported_text, problem.file, problem.detail))

    is Problem.BrokenModel ->
        model(models, R.string.broken_model_title, getString(R.string.broken_model_text, problem.file, problem.detail))

    is Problem.WrongNumbers ->
        model(
            models,
            R.string.wrong_numbers_title,
            getString(R.string.wrong_numbers_text, problem.file, problem.detail)
        )

    Problem.NoCamera -> camera(R.string.no_camera_title, getString(R.string.no_camera_text), MessageAction.NONE)

    Problem.CameraInUse -> camera(R.string.camera_in_use_title, getString(R.string.camera_in_use_text))

    Problem.CameraDisconnected ->
        camera(R.string.camera_disconnected_title, getString(R.string.camera_disconnected_text))

    is Problem.CameraFailed ->
        camera(R.string.camera_failed_title, getString(R.string.camera_failed_text, problem.detail))

    is Problem.UnreadablePicture -> Message(
        R.drawable.ic_photo,
        getString(R.string.unreadable_title),
        getString(R.string.unreadable_text, problem.detail),
        MessageAction.CHOOSE_PHOTO,
        getString(R.string.choose_other_photo),
        false
    )
}

private fun Context.trouble(title: Int, text: String) =
    Message(R.drawable.ic_warning, getString(title), text, MessageAction.RETRY, getString(R.string.try_again), false)

private fun Context.model(models: Int, title: Int, text: String) = if (models > 1) {
    trouble(title, text).copy(action = MessageAction.CHOOSE_MODEL, button = getString(R.string.choose_model))
} else {
    trouble(title, text)
}

private fun Context.camera(title: Int, text: String, action: MessageAction = MessageAction.RETRY) = Message(
    R.drawable.ic_camera,
    getString(title),
    text,
    action,
    if (action == MessageAction.RETRY) getString(R.string.try_again) else null,
    true
)
