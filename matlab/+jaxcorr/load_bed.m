function options = load_bed(options, program, layer)
%LOAD_BED   A printer with what it printed before a layer on its bed.
%   OPTIONS = LOAD_BED(OPTIONS, PROGRAM, LAYER) takes SIMULATE_OPTIONS, a program of PARSE_GCODE and
%   a layer from 1. Nothing changes without bed_axis.
%
%   See also SIMULATE_LAYER, TRACE_PARAMS.

if isempty(options.bed_axis)
    return
end
first = find(program.layer == layer, 1);
area_mm2 = pi * options.filament_diameter_mm^2 / 4;
filament_mm = sum(program.extrude_mm(1:first - 1));
% To the milligram, so that a sum in another order is no other printer.
printed_kg = round(filament_mm * area_mm2 * options.filament_density_g_cm3) / 1e6;
axis = options.bed_axis;
options.plant.(axis).mass_kg = options.plant.(axis).mass_kg + max(printed_kg, 0);
end
