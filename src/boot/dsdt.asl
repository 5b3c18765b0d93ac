/* SPDX-License-Identifier: MIT */
/*
 * What never varies on the board. The host bridge's windows and interrupt routes, serial ports
 * and CPUs are in the SSDT that acpi.c generates.
 */
DefinitionBlock ("", "DSDT", 2, "HOLM", "HOLMPC", 1)
{
	/* SLP_TYP 5 is power-off: ACPI 6.4, 7.4.2.6 */
	Name (\_S5, Package () { 5, 5, 0, 0 })

	Scope (\_SB)
	{
		Device (PCI0)
		{
			Name (_HID, EisaId ("PNP0A08"))
			Name (_CID, EisaId ("PNP0A03"))
			Name (_UID, 0)
			Name (_SEG, 0)
			Name (_BBN, 0)

			/* PCI Firmware Specification 3.3, 4.5: only the PCIe capability is granted */
			Method (_OSC, 4, NotSerialized)
			{
				CreateDWordField (Arg3, 0, CDW1)
				If (LEqual (Arg0, ToUUID ("33db4df7-1ff7-401c-9657-7441c03dd766")))
				{
					If (LGreaterEqual (Arg2, 3))
					{
						CreateDWordField (Arg3, 8, CDW3)
						Store (CDW3, Local0)
						And (Local0, 0x10, Local1)
						If (LNotEqual (Local0, Local1))
						{
							Or (CDW1, 0x10, CDW1)
						}
						Store (Local1, CDW3)
					}
					If (LNotEqual (Arg1, 1))
					{
						Or (CDW1, 0x08, CDW1)
					}
				}
				Else
				{
					Or (CDW1, 0x04, CDW1)
				}
				Return (Arg3)
			}

			Device (RTC0)
			{
				Name (_HID, EisaId ("PNP0B00"))
				Name (_CRS, ResourceTemplate ()
				{
					IO (Decode16, 0x70, 0x70, 1, 2)
					IRQNoFlags () { 8 }
				})
			}

			Device (TIM0)
			{
				Name (_HID, EisaId ("PNP0100"))
				Name (_CRS, ResourceTemplate ()
				{
					IO (Decode16, 0x40, 0x40, 1, 4)
					IRQNoFlags () { 0 }
				})
			}

			Device (PIC0)
			{
				Name (_HID, EisaId ("PNP0000"))
				Name (_CRS, ResourceTemplate ()
				{
					IO (Decode16, 0x20, 0x20, 1, 2)
					IO (Decode16, 0xa0, 0xa0, 1, 2)
					IO (Decode16, 0x4d0, 0x4d0, 1, 2)
					IRQNoFlags () { 2 }
				})
			}

			Device (SPKR)
			{
				Name (_HID, EisaId ("PNP0800"))
				Name (_CRS, ResourceTemplate ()
				{
					IO (Decode16, 0x61, 0x61, 1, 1)
				})
			}

			/* The panic port (QEMU, docs/specs/pvpanic.rst). */
			Device (PEVT)
			{
				Name (_HID, "QEMU0001")
				Name (_STA, 0x0f)
				Name (_CRS, ResourceTemplate ()
				{
					IO (Decode16, 0x0505, 0x0505, 0x01, 0x01)
				})
			}

			Device (KBD0)
			{
				Name (_HID, EisaId ("PNP0303"))
				Name (_CRS, ResourceTemplate ()
				{
					IO (Decode16, 0x60, 0x60, 1, 1)
					IO (Decode16, 0x64, 0x64, 1, 1)
					IRQNoFlags () { 1 }
				})
			}
		}
	}
}
