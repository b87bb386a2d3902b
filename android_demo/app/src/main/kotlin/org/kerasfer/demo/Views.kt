package org.kerasfer.demo

import android.app.Activity
import android.app.Dialog
import android.view.View
import android.widget.TextView

// A view that a layout certainly has: findViewById's answer is nullable in Android's sources.

fun <T : View> Activity.find(id: Int): T = findViewById<T>(id)!!

fun <T : View> Dialog.find(id: Int): T = findViewById<T>(id)!!

fun <T : View> View.find(id: Int): T = findViewById<T>(id)!!

/** Sets a text where it is another: a text that is set is measured anew, and read aloud. */
fun TextView.update(value: CharSequence) {
    if (text.toString() != value.toString()) text = value
}
