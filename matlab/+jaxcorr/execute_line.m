function [state, moves, events] = execute_line(state, line, number)
%EXECUTE_LINE   Executes any line of G-code as the firmware would.
%   [STATE, MOVES, EVENTS] = EXECUTE_LINE(STATE, LINE, NUMBER) returns rows of moves as
%   EXECUTE_PLAIN does, none or several, and a cell array of what else happened before them: rows of
%   NUMBER, kind and value. Kinds are those of READ_COMMENTS and READ_INLINE_COMMENT, 'home' (the
%   value is the position), 'dwell' (seconds), 'limit' (command, arguments and unit of a setting),
%   'foreign' (a command that tells the firmware) and 'unknown' (the command).
%
%   What a printer would pass over is passed over; what would move the head to who knows where is
%   refused. Where firmwares differ in motion it follows Marlin 2.0, with one exception: G91 makes E
%   relative too, but G90 goes back to what M82 or M83 said last, because slicers count on it. The
%   flow factor (M221) changes no path and is left out.
%
%   A malformed line raises an error with the name of the text, the number and the line.
%
%   See also PARSE_GCODE, INITIAL_STATE.
%
%   Reference: Marlin, G-code index.

try
    [command, arguments, comment] = jaxcorr.split_line(line);
    said = read_comment([command arguments], comment);
    [state, moves, happened] = execute(state, command, arguments);
catch problem
    if ~strncmp(problem.identifier, 'jaxcorr:', 8)
        rethrow(problem);
    end
    error(problem.identifier, '%s:%d: %s in %s.', ...
        state.name, number, problem.message, jaxcorr.quote(line));
end
moves(:, 6) = number;
events = [said; happened];
events = [repmat({number}, size(events, 1), 1), events];
end

function event = read_comment(command, comment)
event = cell(0, 2);
if isempty(comment)
    return
elseif isempty(command)
    [kinds, values] = jaxcorr.read_comments({[';' comment]});
    kind = kinds{1};
    value = values{1};
else
    [kind, value] = jaxcorr.read_inline_comment(comment);
end
if ~isempty(kind)
    event = {kind, value};
end
end

function [state, moves, event] = execute(state, command, arguments)
moves = zeros(0, 6);
event = cell(0, 2);
if isempty(command)
    event = pass_line(arguments);
    return
end
switch command
    case {'G0', 'G1'}
        [state, moves] = move(state, arguments);
    case {'G2', 'G3'}
        [state, moves] = arc(state, arguments, command(2) == '2');
    case 'G4'
        event = {'dwell', pause_s(arguments)};
    case {'G17', 'G20', 'G21', 'G90', 'G91', 'M82', 'M83'}
        state = set_mode(state, command, arguments);
    case {'G18', 'G19'}
        error('jaxcorr:gcode:badPlane', 'expected arcs in the XY plane (G17), got another plane');
    case 'G28'
        state = home(state, arguments);
        event = {'home', state.position; 'dwell', 0};
    case 'G92'
        state = set_position(state, arguments);
    case 'G92.1'
        state.offset = [0 0 0];
    case {'M201', 'M203', 'M204', 'M205', 'M566', 'SET_VELOCITY_LIMIT'}
        event = {'limit', {command, arguments, state.unit_mm}; 'foreign', command};
    case {'M207', 'M208', 'SET_RETRACTION'}
        state.retraction = jaxcorr.set_retraction(state.retraction, command, arguments, ...
            state.unit_mm);
        event = {'foreign', command};
    case 'G10'
        [state, moves] = retract(state, arguments);
    case 'G11'
        [state, moves] = recover(state);
    case 'M220'
        state = set_factor(state, arguments);
    case {'G29', 'M0', 'M1', 'M109', 'M190', 'M191', 'M226', 'M400', 'M600', 'M601'}
        event = {'dwell', 0};  % the machine waits until it stands still
    otherwise
        event = {'foreign', command};
        if ~jaxcorr.is_ignored_command(command)
            event(end + 1, :) = {'unknown', command};
        end
end
end

function event = pass_line(text)
% A line without a command; one that starts with a coordinate may be a move.
event = cell(0, 2);
if ~isempty(regexp(text, '^[XYZxyz]\s*[-+]?\.?[0-9]', 'once'))
    error('jaxcorr:gcode:badCommand', 'expected a command such as G1, got %s', ...
        jaxcorr.quote(text));
elseif ~isempty(text)
    event = {'unknown', strtok(text)};
end
end

function [state, moves] = retract(state, arguments)
% With more than S it sets a tool of RepRapFirmware, and moves nothing.
moves = zeros(0, 6);
words = jaxcorr.parse_settings(arguments);
words('S' - 'A' + 1) = NaN;
if state.retracted_mm == 0 && all(isnan(words))
    state.retracted_mm = state.retraction.length_mm;
    moves = alone(state, -state.retracted_mm, state.retraction.speed_mm_s);
    [state, lift] = raise(state, state.retraction.lift_mm);
    moves = [moves; lift];
end
end

function [state, moves] = recover(state)
moves = zeros(0, 6);
if state.retracted_mm > 0
    [state, moves] = raise(state, 0);
    pushed = state.retracted_mm + state.retraction.extra_mm;
    moves = [moves; alone(state, pushed, state.retraction.recover_speed_mm_s)];
    state.retracted_mm = 0;
end
end

function [state, moves] = raise(state, lift_mm)
% Z goes up or down as fast as it can; the file's coordinates stay.
moves = zeros(0, 6);
rise = lift_mm - state.lift_mm;
state.lift_mm = lift_mm;
if rise ~= 0
    state.position(3) = grid(state.position(3) + rise);
    check_bounds('Z', state.position(3), 1e4);
    moves = [state.position, 0, 1e4, 0];
end
end

function moves = alone(state, extrude_mm, speed_mm_s)
% Filament moves that the file does not count; the feedrate factor has no part in it.
moves = [state.position, extrude_mm, speed_mm_s, 0];
moves = moves(extrude_mm ~= 0, :);
end

function [state, moves] = move(state, arguments)
% S, H and P mean nothing to a printer that moves in straight lines.
words = jaxcorr.parse_words(without_bad_feedrate(arguments), 'XYZEFSHP');
state = read_feedrate(state, words);
target = target_of(state, words);
[state, extrude] = extrude_of(state, words);
[state, moves] = append(state, target, extrude);
end

function [state, moves] = arc(state, arguments, is_clockwise)
% X Y Z, the centre as I J or the radius as R, P turns in all, E, F.
words = jaxcorr.parse_words(without_bad_feedrate(arguments), 'XYZIJREFP');
state = read_feedrate(state, words);
target = target_of(state, words);
centre = centre_of(state, words, target, is_clockwise);
turns = word(words, 'P', 1);
if ~(turns >= 0 && turns <= 100) || mod(turns, 1) ~= 0
    error('jaxcorr:gcode:badWord', 'expected P as a whole number up to 100, got %g', turns);
end
rise = target(3) - state.position(3);
[state, extrude] = extrude_of(state, words);
points = jaxcorr.cut_arc(state.position(1:2), target(1:2), centre, is_clockwise, ...
    max(turns - 1, 0), rise);
num = size(points, 1);
path = grid([points, state.position(3) + rise * (1:num)' / num]);
path(end, :) = target;
check_bounds('X', path(:, 1), 1e4);
check_bounds('Y', path(:, 2), 1e4);
[state, moves] = append(state, path, extrude / num * ones(num, 1));
end

function centre = centre_of(state, words, target, is_clockwise)
has_r = ~isnan(word(words, 'R', NaN));
has_ij = ~all(isnan(words('IJ' - 'A' + 1)));
if has_r == has_ij
    got = {'neither', 'both'};
    error('jaxcorr:gcode:badArc', ...
        'expected the centre as I and J or the radius as R, got %s', got{has_r + 1});
end
ij = [word(words, 'I', 0), word(words, 'J', 0)] * state.unit_mm;
radius = word(words, 'R', 0) * state.unit_mm;
check_bounds('I', ij(1), 1e4);
check_bounds('J', ij(2), 1e4);
check_bounds('R', radius, 1e4);
centre = state.position(1:2) + ij;
if has_r
    centre = jaxcorr.arc_centre(state.position(1:2), target(1:2), radius, is_clockwise);
end
end

function target = target_of(state, words)
% Where the words lead, physical mm on a grid of 1e-9 mm.
target = state.position;
base = state.offset + [0 0 state.lift_mm];
if state.is_relative
    base = state.position;
end
for axis = 1:3
    letter = char('W' + axis);
    value = word(words, letter, NaN);
    if ~isnan(value)
        target(axis) = grid(value * state.unit_mm + base(axis));
        check_bounds(letter, target(axis), 1e4);
    end
end
end

function [state, extrude] = extrude_of(state, words)
% Filament that the words push, mm; the file's own count goes on.
extrude = 0;
value = word(words, 'E', NaN) * state.unit_mm;
if isnan(value)
    return
end
check_bounds('E', value, 1e7);
before = state.e;
state.e = grid(value + before * state.is_e_relative);
extrude = grid(state.e - before);
end

function [state, moves] = append(state, path, extrude)
is_move = any(diff([state.position; path], 1, 1) ~= 0, 2) | extrude ~= 0;
state.position = path(end, :);
moves = [path, extrude, repmat(state.feedrate * state.factor, size(extrude))];
moves = [moves(is_move, :), zeros(nnz(is_move), 1)];
end

function arguments = without_bad_feedrate(arguments)
% An F that has no readable number changes nothing.
number = '[-+]?(?:[0-9]{1,30}(?:\.[0-9]{0,60})?|\.[0-9]{1,60})';
pattern = ['(?<![A-Za-z])F[ \t]*(?!' number '(?![0-9.#]))[-+0-9.#]{0,40}' ...
    '(?:nan|inf(?:inity)?|[qs]nan|ind)?(?:\([a-z]{0,9}\))?[0-9]{0,20}'];
arguments = regexprep(arguments, pattern, ' ', 'ignorecase');
end

function state = read_feedrate(state, words)
% F above 0 is taken over, up to a bound that lies far above every limit.
value = word(words, 'F', NaN);
if value > 0
    state.feedrate = max(min(value * state.unit_mm, 1e7), 1e-3) / 60;
end
end

function seconds = pause_s(arguments)
% P milliseconds or S seconds; S wins.
words = jaxcorr.parse_words(arguments, 'PS');
seconds = word(words, 'S', word(words, 'P', 0) / 1000);
if ~(seconds >= 0 && seconds <= 1e5)
    error('jaxcorr:gcode:badWord', 'expected a pause of 0 to 100000 s, got %g s', seconds);
end
end

function state = set_mode(state, command, arguments)
% These take no words; Marlin would drop what follows.
if ~isempty(strtrim(arguments))
    error('jaxcorr:gcode:badWord', 'expected one command in a line, got %s after it', ...
        jaxcorr.quote(arguments));
end
switch command
    case 'G20'
        state.unit_mm = 25.4;
    case 'G21'
        state.unit_mm = 1;
    case {'G90', 'G91'}
        state.is_relative = command(3) == '1';
        state.is_e_relative = state.is_relative || state.is_m83;
    case {'M82', 'M83'}
        state.is_m83 = command(3) == '3';
        state.is_e_relative = state.is_m83;
end
state.e = grid(state.e);
end

function state = home(state, arguments)
% The named axes, or all, stand at 0 with no offset.
is_named = ismember('XYZ', upper(arguments));
if ~any(is_named)
    is_named(:) = true;
end
state.position(is_named) = 0;
state.offset(is_named) = 0;
end

function state = set_position(state, arguments)
% The file's coordinates change, the machine stays.
words = jaxcorr.parse_words(arguments, 'XYZE');
for axis = 1:3
    letter = char('W' + axis);
    value = word(words, letter, NaN) * state.unit_mm;
    if ~isnan(value)
        check_bounds(letter, value, 1e4);
        lift = state.lift_mm * (axis == 3);
        state.offset(axis) = grid(state.position(axis) - lift - value);
    end
end
e = word(words, 'E', NaN) * state.unit_mm;
if ~isnan(e)
    check_bounds('E', e, 1e7);
    state.e = grid(e);
end
end

function state = set_factor(state, arguments)
% S per cent of the feedrate; B saves the factor, R restores it.
words = jaxcorr.parse_settings(arguments);
if any(upper(arguments) == 'B')
    state.saved_factor = state.factor;
end
percent = word(words, 'S', NaN);
if percent >= 1 && percent <= 1000
    state.factor = percent / 100;
end
if any(upper(arguments) == 'R')
    state.factor = state.saved_factor;
end
end

function value = word(words, letter, default)
value = words(letter - 'A' + 1);
if isnan(value)
    value = default;
end
end

function x = grid(x)
% On multiples of 1e-9 mm, so that the same place has the same number.
x = round(x * 1e9) / 1e9;
end

function check_bounds(letter, values, limit)
bad = find(~(abs(values) <= limit), 1);
if ~isempty(bad)
    error('jaxcorr:gcode:outOfBounds', 'expected %s within +-%g mm, got %g mm', ...
        letter, limit, values(bad));
end
end
