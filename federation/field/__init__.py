"""Between command and device: faults, real time, stuck switches, Modbus and SunSpec."""
