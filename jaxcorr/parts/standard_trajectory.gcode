; Standard trajectory of the verification: lines, corners of 90 and 45 degrees, arcs. One layer.
; Stock Ender-3 V2 limits: 500 mm/s2, jerk 8 mm/s. Speeds of a desktop printer, 60 to 100 mm/s.
G21
G90
M83
M201 X500 Y500 Z100 E5000
M203 X500 Y500 Z5 E25
M204 P500 R500 T500
M205 X8 Y8 Z0.4 E5
G0 X60 Y60 Z0.2 F6000
;LAYER_CHANGE
;Z:0.2
;TYPE:External perimeter
; a rectangle along the axes: corners of 90 degrees
G1 X80 Y60 E0.7 F3600
G1 X80 Y75 E0.5
G1 X60 Y75 E0.7
G1 X60 Y60 E0.5
; a rectangle at 30 degrees: corners of 90 degrees
G1 X85.98 Y75 E1 F4800
G1 X75.98 Y92.32 E0.7
G1 X50 Y77.32 E1
G1 X60 Y60 E0.7
; an octagon at 22.5 degrees: turns of 45 degrees
G1 X73.858 Y65.74 E0.5
G1 X79.598 Y79.598 E0.5
G1 X73.858 Y93.456 E0.5
G1 X60 Y99.196 E0.5
G1 X46.142 Y93.456 E0.5
G1 X40.402 Y79.598 E0.5
G1 X46.142 Y65.74 E0.5
G1 X60 Y60 E0.5
; lines at 45 degrees and back, as infill
;TYPE:Internal infill
G1 X84 Y84 E1.1 F6000
G1 X84.5 Y83.5 E0.02
G1 X60.5 Y59.5 E1.1
G1 X61 Y59 E0.02
G1 X73 Y71 E0.6
G1 X73.5 Y70.5 E0.02
G1 X61.5 Y58.5 E0.6
G1 X62 Y58 E0.02
G1 X66 Y62 E0.2
G1 X66.5 Y61.5 E0.02
G1 X62.5 Y57.5 E0.2
; a travel, a half circle, a full one, and a line home
;TYPE:External perimeter
G0 X70 Y65 F6000
G3 X100 Y65 I15 J0 E1.6 F4800
G2 X100 Y65 I-10 J0 E2.1
G1 X60 Y60 E1.3 F6000
