package org.kerasfer.core

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.params.ParameterizedTest
import org.junit.jupiter.params.provider.CsvSource
import java.io.File

class CardTest {
    @Test
    fun `the card that Python appended is read`() {
        val card = Card.read(Golden.file("cards/whole.tflite"))
        assertEquals("mit_fusion", card.model)
        assertEquals("MiT-fusion", card.name)
        assertEquals("2", card.version)
        assertEquals(listOf("anger", "happiness", "neutral"), card.classes)
        assertEquals(64, card.inputSize)
        assertEquals(1.2, card.margin)
        assertEquals(0.4, card.eyeHeight)
        assertEquals("int8", card.quantization)
        assertEquals("An expression is not an emotion.", card.limits)
        assertEquals(0.66, card.accuracy)
        assertEquals("fer2013 public", card.accuracyOn)
    }

    @Test
    fun `what a card need not say has the framing of docs crop`() {
        val card = Card.read(Golden.file("cards/least.tflite"))
        assertEquals(listOf("mit_fusion", "1", "none"), listOf(card.name, card.version, card.quantization))
        assertEquals(listOf(1.13, 0.39), listOf(card.margin, card.eyeHeight))
        assertNull(card.accuracy)
        assertNull(card.accuracyOn)
    }

    @ParameterizedTest
    @CsvSource(
        "no_archive, carries no card",
        "empty, carries no card",
        "cut_off, carries no card",
        "no_card, carries no card",
        "no_json, ''",
        "list, JSONObject",
        "no_classes, it lacks classes",
        "classes_twice, a class twice",
        "classes_numbers, is no name",
        "classes_text, classes",
        "size_text, input_size",
        "size_huge, input_size is 100000",
        "margin_negative, margin is -1",
        "margin_text, margin"
    )
    fun `a broken card is told`(name: String, told: String) {
        val error = assertThrows(CardException::class.java) { Card.read(Golden.file("cards/$name.tflite")) }
        assertTrue("$name.tflite" in error.message!! && told in error.detail, error.message)
        assertTrue(error.detail.isNotBlank() && '\n' !in error.detail, error.message)
    }

    @Test
    fun `a missing file is told`() {
        assertThrows(CardException::class.java) { Card.read(File("nowhere.tflite")) }
    }
}
