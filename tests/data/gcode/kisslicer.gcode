; KISSlicer - FREE
; layer_thickness_mm = 0.25
M83
; BEGIN_LAYER_OBJECT z=0.250 z_thickness=0.250
; 'Perimeter Path', 0.4 [feed mm/s], 10.0 [head mm/s]
G1 X4 Y4 Z0.25 F3000
G1 X9 Y4 E1
; BEGIN_LAYER_OBJECT z=0.250 z_thickness=0.250
; 'Sparse Infill Path', 0.4 [feed mm/s], 10.0 [head mm/s]
G1 X9 Y9 E1
; END_LAYER_OBJECT z=0.250
; BEGIN_LAYER_OBJECT z=0.500 z_thickness=0.250
G1 X4 Y4 Z0.5
G1 X9 Y4 E1
