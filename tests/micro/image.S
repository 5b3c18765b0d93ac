/* SPDX-License-Identifier: MIT */
/* The micro guests' flat image as bytes of the host program. */
	.section .rodata
	.balign 16
	.globl micro_image, micro_image_end
micro_image:
	.incbin MICRO_IMAGE
micro_image_end:
	.section .note.GNU-stack, "", @progbits
