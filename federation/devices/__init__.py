"""DERs as devices: Modbus/TCP client and emulator, SunSpec models."""
