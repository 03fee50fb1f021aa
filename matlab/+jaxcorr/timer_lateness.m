function late_s = timer_lateness(num_samples, cycles)
%TIMER_LATENESS   How late step pulses are.
%   LATE_S = TIMER_LATENESS(NUM_SAMPLES, CYCLES) draws seconds, NUM_SAMPLES-by-2 (x, y), uniform on
%   +-CYCLES of the 72 MHz timer, from the global random stream.
%
%   See also SIMULATE_LAYER.

late_s = (2 * rand(num_samples, 2) - 1) * (cycles / 72e6);
end
