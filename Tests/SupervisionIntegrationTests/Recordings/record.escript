#!/usr/bin/env escript
%% -*- erlang -*-
%% Records what OTP's own supervisor does in random scenarios, a JSON vector a line.
%%
%%   escript record.escript --seed N --count M --kind mixed|window [--jobs J] > out.jsonl
%%   escript record.escript --verify FILE        replay vectors ({"vectors":[…]} or JSON lines)
%%   escript record.escript --kill-order RUNS    how a killed nested supervisor's tree goes down
%%
%% How the order of events is known: every process of a scenario is traced, and its exit is
%% stamped by the VM (one global counter) before any link or monitor learns of it. Starts are
%% stamped with the same counter by the supervisor process that makes them. Sorting by stamp
%% therefore yields an order no message delay can falsify.
-module(record_supervisor).
-mode(compile).
-export([main/1, init/1, start_process/3, start_instance/4]).

-define(POLL_MS, 3).        % settle: pause between two looks
-define(QUIET_POLLS, 6).    % settle: looks in a row that must find nothing moving
-define(PATIENCE_MS, 15000).

main(Args) ->
    ok = io:setopts(standard_io, [{encoding, unicode}]),
    logger:set_primary_config(level, none),
    Opts = options(Args, #{seed => 1, count => 100, kind => mixed, jobs => 50}),
    case Opts of
        #{verify := File} -> verify(File, Opts);
        #{kill_order := Runs} -> kill_order(Runs, Opts);
        _ -> record(Opts)
    end.

options([], O) -> O;
options(["--seed", V | R], O) -> options(R, O#{seed => list_to_integer(V)});
options(["--count", V | R], O) -> options(R, O#{count => list_to_integer(V)});
options(["--jobs", V | R], O) -> options(R, O#{jobs => list_to_integer(V)});
options(["--kind", "mixed" | R], O) -> options(R, O#{kind => mixed});
options(["--kind", "window" | R], O) -> options(R, O#{kind => window});
options(["--verify", V | R], O) -> options(R, O#{verify => V});
options(["--kill-order", V | R], O) -> options(R, O#{kill_order => list_to_integer(V)});
options([Bad | _], _) ->
    io:format(standard_error, "unknown option ~ts~n", [Bad]),
    halt(2).

%%% ------------------------------------------------------------------ modes

record(#{seed := Seed, count := Count, kind := Kind, jobs := Jobs}) ->
    Work = fun(I) -> record_one(gen(Kind, Seed, I)) end,
    {Kept, Dropped} = record_rounds(Work, Jobs, 1, Count, [], []),
    [io:put_chars([encode(V), $\n]) || V <- Kept],
    [io:format(standard_error, "dropped ~ts: ~tp~n", [N, Why]) || {N, Why} <- Dropped],
    io:format(standard_error, "kept ~b, dropped ~b~n", [length(Kept), length(Dropped)]),
    statistics_of(Kept).

%% A dropped scenario is made up for by one of a higher index.
record_rounds(Work, Jobs, First, Count, Kept, Dropped) ->
    Results = parallel(Work, lists:seq(First, First + Count - 1), Jobs),
    Kept1 = Kept ++ [V || {keep, V} <- Results],
    Lost = [{N, Why} || {drop, N, Why} <- Results],
    case Lost of
        [] -> {Kept1, Dropped};
        _ -> record_rounds(Work, Jobs, First + Count, length(Lost), Kept1, Dropped ++ Lost)
    end.

record_one({Name, Sup, Ops}) ->
    try
        {Trace, _} = run(Sup, Ops, adaptive),
        Ops1 = [get(<<"op">>, S) || S <- Trace],
        {Trace1, Final1} = run(Sup, Ops1, replay),
        {Trace2, Final2} = run(Sup, Ops1, replay),
        Flags = flags(Sup, Trace1),
        V1 = vector(Name, Sup, Trace1, Final1, Flags),
        Same = canonical(Trace1, Flags) =:= canonical(Trace2, Flags)
            andalso canonical(Trace, Flags) =:= canonical(Trace1, Flags)
            andalso Final1 =:= Final2,
        case Same of
            true -> {keep, V1};
            false -> {drop, Name, {runs_differ, first_difference(Trace1, Trace2)}}
        end
    catch
        _:Reason -> {drop, Name, Reason}
    end.

first_difference(A, B) ->
    case [{X, Y} || {X, Y} <- lists:zip(A, B), X =/= Y] of
        [] -> elsewhere;
        [{X, Y} | _] -> iolist_to_binary([encode(X), " / ", encode(Y)])
    end.

vector(Name, Sup, Trace, Final, Flags) ->
    {obj, [{<<"name">>, Name}, {<<"supervisor">>, Sup}, {<<"trace">>, Trace}, {<<"final">>, Final}
           | [{<<"flags">>, Flags} || Flags =/= []]]}.

verify(File, #{jobs := Jobs}) ->
    {ok, Bin} = file:read_file(File),
    Vectors = case decode_all(Bin) of
                  [{obj, _} = One] ->
                      case get(<<"vectors">>, One, none) of none -> [One]; Vs -> Vs end;
                  Many -> Many
              end,
    Results = parallel(fun verify_one/1, Vectors, Jobs),
    Bad = [R || {differs, _, _} = R <- Results],
    [io:format("DIFFERS ~ts: ~ts~n", [N, Why]) || {differs, N, Why} <- Bad],
    io:format("~b of ~b vectors reproduced~n", [length(Results) - length(Bad), length(Results)]),
    halt(case Bad of [] -> 0; _ -> 1 end).

verify_one(V) ->
    Name = get(<<"name">>, V),
    Expected = get(<<"trace">>, V),
    Flags = get(<<"flags">>, V, []),
    try run(get(<<"supervisor">>, V), [get(<<"op">>, S) || S <- Expected], replay) of
        {Trace, Final} ->
            WantedFinal = get(<<"final">>, V),
            case canonical(Trace, Flags) =:= canonical(Expected, Flags) of
                true when Final =:= WantedFinal -> same;
                true -> {differs, Name, [encode(WantedFinal), " / ", encode(Final)]};
                false -> {differs, Name, first_difference(Expected, Trace)}
            end
    catch
        _:Reason -> {differs, Name, io_lib:format("~tp", [Reason])}
    end.

kill_order(Runs, #{jobs := Jobs}) ->
    Plain = [{obj, [{<<"id">>, Id}]} || Id <- [<<"k">>, <<"l">>, <<"m">>, <<"n">>]],
    Sup = sup(<<"one_for_one">>, 3, 3600, <<"never">>,
              [{obj, [{<<"id">>, <<"s">>}, {<<"type">>, <<"supervisor">>},
                      {<<"sup">>, sup(<<"one_for_one">>, 1, 3600, <<"never">>, Plain)}]}]),
    Ops = [[<<"start_supervisor">>], [<<"exit">>, <<"s">>, <<"kill">>]],
    One = fun(_) ->
                  {[_, Step], _} = run(Sup, Ops, replay),
                  iolist_to_binary(encode(get(<<"events">>, Step)))
          end,
    Seen = parallel(One, lists:seq(1, Runs), Jobs),
    Tally = maps:to_list(lists:foldl(fun(E, M) -> maps:update_with(E, fun(N) -> N + 1 end, 1, M) end,
                                     #{}, Seen)),
    [io:format("~6b ~ts~n", [N, E]) || {E, N} <- lists:reverse(lists:keysort(2, Tally))].

statistics_of(Vectors) ->
    Results = [{hd(get(<<"op">>, S)), case get(<<"result">>, S) of B when is_binary(B) -> B; _ -> <<"value">> end}
               || V <- Vectors, S <- get(<<"trace">>, V)],
    Events = [case E of [K, _, _, R] -> {K, R}; [K | _] -> {K, <<>>} end
              || V <- Vectors, S <- get(<<"trace">>, V), E <- get(<<"events">>, S)],
    Misc = [{<<"strategy">>, get(<<"strategy">>, get(<<"supervisor">>, V))} || V <- Vectors]
        ++ [{<<"alive at the end">>, atom_to_binary(get(<<"supervisor_alive">>, get(<<"final">>, V)))} || V <- Vectors]
        ++ [{<<"flag">>, F} || V <- Vectors, F <- get(<<"flags">>, V, [])],
    Count = lists:foldl(fun(K, M) -> maps:update_with(K, fun(N) -> N + 1 end, 1, M) end, #{},
                        Misc ++ Results ++ Events),
    [io:format(standard_error, "~7b ~ts ~ts~n", [N, A, B]) || {{A, B}, N} <- lists:sort(maps:to_list(Count))].

%% Results in the order of Items, at most Jobs of them under way.
parallel(Work, Items, Jobs) ->
    parallel(Work, lists:zip(lists:seq(1, length(Items)), Items), Jobs, #{}, #{}).

parallel(_, [], _, Busy, Done) when map_size(Busy) =:= 0 ->
    [R || {_, R} <- lists:sort(maps:to_list(Done))];
parallel(Work, [{N, Item} | Rest], Jobs, Busy, Done) when map_size(Busy) < Jobs ->
    {_, Ref} = spawn_monitor(fun() -> exit({done, Work(Item)}) end),
    parallel(Work, Rest, Jobs, Busy#{Ref => N}, Done);
parallel(Work, Items, Jobs, Busy, Done) ->
    receive
        {'DOWN', Ref, process, _, {done, R}} when is_map_key(Ref, Busy) ->
            {N, Busy1} = maps:take(Ref, Busy),
            parallel(Work, Items, Jobs, Busy1, Done#{N => R});
        {'DOWN', Ref, process, _, Reason} when is_map_key(Ref, Busy) ->
            error({job_died, Reason})
    end.

%%% --------------------------------------------------- orders OTP leaves open

flags(Sup, Trace) ->
    Simple = get(<<"strategy">>, Sup) =:= <<"simple_one_for_one">>,
    Supervisors = supervisor_paths(Trace),
    Open = lists:any(
             fun(Step) ->
                     Downs = [{P, R} || [<<"down">>, P, _, R] <- get(<<"events">>, Step)],
                     Instances = lists:usort([hd(binary:split(P, <<"/">>)) || {P, _} <- Downs, P =/= <<"@sup">>]),
                     (Simple andalso length(Instances) > 1)
                         orelse lists:any(fun({P, R}) -> R =:= <<"killed">> andalso lists:member(P, Supervisors) end,
                                          Downs)
             end, Trace),
    [<<"stop_order_undefined">> || Open].

%% Only supervisors have something below them; one without children has no order to leave open.
supervisor_paths(Trace) ->
    lists:usort([parent_path(P) || S <- Trace, [<<"started">>, P, _] <- get(<<"events">>, S)]).

parent_path(P) ->
    case binary:matches(P, <<"/">>) of
        [] -> <<>>;
        Ms -> binary:part(P, 0, element(1, lists:last(Ms)))
    end.

canonical(Trace, Flags) ->
    case lists:member(<<"stop_order_undefined">>, Flags) of
        false -> Trace;
        true -> [canonical_step(S) || S <- Trace]
    end.

canonical_step({obj, Fields}) ->
    {_, Events} = lists:keyfind(<<"events">>, 1, Fields),
    Downs = lists:sort([E || [<<"down">> | _] = E <- Events]),
    {Sorted, []} = lists:mapfoldl(fun([<<"down">> | _], [D | Ds]) -> {D, Ds};
                                     (E, Ds) -> {E, Ds}
                                  end, Downs, Events),
    {obj, lists:keyreplace(<<"events">>, 1, Fields, {<<"events">>, Sorted})}.

%%% ------------------------------------------------------------- one scenario

%% adaptive: the recorder may leave out ops that mean nothing (see skip/2, cut/2).
run(Sup, Ops, Mode) ->
    {_, Ref} = spawn_monitor(fun() -> exit({done, scenario(Sup, Ops, Mode)}) end),
    receive
        {'DOWN', Ref, process, _, {done, Result}} -> Result;
        {'DOWN', Ref, process, _, Reason} -> error(Reason)
    end.

scenario(Sup, Ops, Mode) ->
    process_flag(trap_exit, true),
    Log = ets:new(log, [ordered_set, public]),
    Collector = spawn_link(fun() -> collect(Log) end),
    erlang:trace(self(), true, [procs, set_on_spawn, strict_monotonic_timestamp, {tracer, Collector}]),
    Trace = steps(Ops, #{log => Log, json => Sup, mode => Mode, done => 0}, []),
    Pid = lookup(Log, {latest, <<"@sup">>}),
    Final = final(Log, Pid),
    wind_up(Log, Pid),
    {cut(Mode, Trace), Final}.

collect(Log) ->
    receive
        {trace_ts, Pid, exit, Reason, {_, Stamp}} ->
            ets:insert(Log, [{Stamp, {exit, Pid, Reason}}, {{dead, Pid}}]),
            collect(Log);
        {trace_ts, _, _, _, _} -> collect(Log);
        {trace_ts, _, _, _, _, _} -> collect(Log)
    end.

steps([], _, Acc) -> lists:reverse(Acc);
steps([Op | Rest], S, Acc) ->
    case skip(Op, S) of
        true -> steps(Rest, S, Acc);
        false ->
            Result = op(Op, S),
            settle(maps:get(log, S)),
            Step = {obj, [{<<"op">>, Op}, {<<"result">>, Result}, {<<"events">>, take_events(maps:get(log, S))}]},
            steps(Rest, S#{done => length(Acc) + 1}, [Step | Acc])
    end.

%% A path that never ran has no pid to terminate.
skip([<<"terminate_pid">>, Path], #{mode := adaptive, log := Log}) ->
    lookup(Log, {latest, Path}) =:= none;
%% One exit of nothing in six is enough.
skip([<<"exit">>, Path, _], #{mode := adaptive, log := Log, done := Done}) ->
    alive(lookup(Log, {latest, <<"@sup">>})) =/= none
        andalso alive(lookup(Log, {latest, Path})) =:= none
        andalso erlang:phash2({Path, Done}) rem 6 > 0;
skip(_, _) -> false.

%% Two ops on a dead supervisor say all there is to say.
cut(replay, Trace) -> Trace;
cut(adaptive, Trace) ->
    Ended = fun(S) ->
                    lists:any(fun([<<"down">>, <<"@sup">> | _]) -> true; (_) -> false end, get(<<"events">>, S))
                        orelse (hd(get(<<"op">>, S)) =:= <<"start_supervisor">> andalso get(<<"result">>, S) =/= <<"ok">>)
            end,
    {Before, After} = lists:splitwith(fun(S) -> not Ended(S) end, Trace),
    Before ++ lists:sublist(After, 3).

op([<<"start_supervisor">>], #{log := Log, json := Json}) ->
    case supervisor:start_link(?MODULE, {Log, <<>>, Json}) of
        {ok, Pid} ->
            register_instance(Log, <<"@sup">>, 1, Pid, supervisor, stamp()),
            <<"ok">>;
        {error, Reason} -> start_error(Reason)
    end;
op([<<"exit">>, Path, Reason], #{log := Log}) ->
    case alive(lookup(Log, {latest, Path})) of
        none -> ok;
        Pid ->
            Ref = monitor(process, Pid),
            case {Reason, ets:lookup_element(Log, {instance, Pid}, 4)} of
                {<<"kill">>, _} -> exit(Pid, kill);
                {_, worker} -> Pid ! {exit, reason_term(Reason)}
            end,
            receive {'DOWN', Ref, process, Pid, _} -> ok after ?PATIENCE_MS -> exit({no_exit, Path}) end
    end,
    <<"ok">>;
op([<<"sleep">>, Ms], _) -> timer:sleep(Ms), <<"ok">>;
op(Op, #{log := Log}) ->
    case alive(lookup(Log, {latest, <<"@sup">>})) of
        none -> <<"error:noproc">>;
        Pid -> call(Op, Pid, Log)
    end.

call([<<"start_child">>, Spec], Pid, Log) -> result(supervisor:start_child(Pid, child_spec(Log, <<>>, Spec)));
call([<<"start_simple">>, Name], Pid, _) -> result(supervisor:start_child(Pid, [Name]));
call([<<"terminate_child">>, Id], Pid, _) -> result(supervisor:terminate_child(Pid, Id));
call([<<"restart_child">>, Id], Pid, _) -> result(supervisor:restart_child(Pid, Id));
call([<<"delete_child">>, Id], Pid, _) -> result(supervisor:delete_child(Pid, Id));
call([<<"terminate_pid">>, Path], Pid, Log) ->
    result(supervisor:terminate_child(Pid, ets:lookup_element(Log, {latest, Path}, 2)));
call([<<"which">>], Pid, Log) -> which(Log, Pid);
call([<<"counts">>], Pid, _) -> counts(Pid);
call([<<"stop">>], Pid, _) ->
    Ref = monitor(process, Pid),
    exit(Pid, shutdown),
    receive {'DOWN', Ref, process, Pid, R} -> reason_text(R) after ?PATIENCE_MS -> exit(no_stop) end.

which(Log, Pid) ->
    Named = [case Id of
                 undefined ->
                     [{_, Path, _, _, _, Stamp}] = ets:lookup(Log, {instance, P}),
                     {Stamp, [Path, state(P)]};
                 _ -> {same, [Id, state(P)]}
             end || {Id, P, _, _} <- supervisor:which_children(Pid)],
    %% OTP lists the last started first; dynamic instances come in no order at all.
    [E || {_, E} <- lists:keysort(1, lists:reverse(Named))].

state(undefined) -> <<"none">>;
state(restarting) -> <<"restarting">>;
state(P) when is_pid(P) -> <<"running">>.

counts(Pid) -> {obj, [{atom_to_binary(K), N} || {K, N} <- supervisor:count_children(Pid)]}.

final(Log, Pid) ->
    case alive(Pid) of
        none -> {obj, [{<<"supervisor_alive">>, false}]};
        _ -> {obj, [{<<"supervisor_alive">>, true}, {<<"children">>, which(Log, Pid)}, {<<"counts">>, counts(Pid)}]}
    end.

wind_up(Log, Pid) ->
    case alive(Pid) of
        none -> ok;
        _ ->
            Ref = monitor(process, Pid),
            exit(Pid, shutdown),
            receive {'DOWN', Ref, process, Pid, _} -> ok after ?PATIENCE_MS -> exit(no_stop) end
    end,
    [exit(P, kill) || {{instance, P}, _, _, _, _, _} <- ets:tab2list(Log)].

result(ok) -> <<"ok">>;
result({ok, _}) -> <<"ok">>;
result({error, {already_started, _}}) -> <<"error:already_started">>;
result({error, Reason}) when Reason =:= already_present; Reason =:= not_found; Reason =:= running;
                             Reason =:= restarting; Reason =:= simple_one_for_one ->
    <<"error:", (atom_to_binary(Reason))/binary>>;
result({error, Reason}) ->
    case spec_fault(Reason) of
        none -> <<"error:start_failed">>;
        Fault -> <<"error:bad_child_spec:", Fault/binary>>
    end.

start_error({shutdown, {failed_to_start_child, Id, _}}) -> <<"error:failed_to_start_child:", Id/binary>>;
start_error({supervisor_data, {Fault, _}}) -> <<"error:bad_flags:", (atom_to_binary(Fault))/binary>>;
start_error({bad_start_spec, _}) -> <<"error:bad_start_spec">>;
start_error({start_spec, Reason}) -> <<"error:bad_child_spec:", (spec_fault(Reason))/binary>>.

spec_fault({Fault, _}) when Fault =:= bad_combination; Fault =:= duplicate_child_name;
                            Fault =:= invalid_restart_type; Fault =:= invalid_shutdown;
                            Fault =:= invalid_child_type; Fault =:= invalid_significant ->
    atom_to_binary(Fault);
spec_fault(_) -> none.

reason_term(<<"shutdown:info">>) -> {shutdown, info};
reason_term(R) -> binary_to_atom(R).

reason_text({shutdown, info}) -> <<"shutdown:info">>;
reason_text(R) when R =:= normal; R =:= shutdown; R =:= crash; R =:= killed -> atom_to_binary(R);
reason_text(R) -> exit({unexpected_reason, R}).

%%% ----------------------------------------------------- what moves, what moved

stamp() -> erlang:unique_integer([monotonic]).

lookup(Log, Key) ->
    case ets:lookup(Log, Key) of [{_, V}] -> V; [] -> none end.

alive(none) -> none;
alive(Pid) -> case is_process_alive(Pid) of true -> Pid; false -> none end.

register_instance(Log, Path, N, Pid, Kind, Stamp) ->
    ets:insert(Log, [{{instance, Pid}, Path, N, Kind, self(), Stamp}, {{latest, Path}, Pid}]).

take_events(Log) ->
    Taken = ets:select(Log, [{{'$1', '$2'}, [{is_integer, '$1'}], ['$_']}]),
    [ets:delete(Log, K) || {K, _} <- Taken],
    lists:append([event(Log, E) || {_, E} <- Taken]).

event(Log, {exit, Pid, Reason}) ->
    case ets:lookup(Log, {instance, Pid}) of
        [{_, Path, N, _, _, _}] -> [[<<"down">>, Path, N, reason_text(Reason)]];
        [] -> []    % never got as far as being started
    end;
event(_, E) -> [E].

settle(Log) -> settle(Log, 0, none, erlang:monotonic_time(millisecond) + ?PATIENCE_MS).

settle(_, ?QUIET_POLLS, _, _) -> ok;
settle(Log, Quiet, Size, Deadline) ->
    erlang:monotonic_time(millisecond) < Deadline orelse exit(never_settles),
    receive {'EXIT', _, _} -> ok after ?POLL_MS -> ok end,
    Instances = ets:match_object(Log, {{instance, '_'}, '_', '_', '_', '_', '_'}),
    Still = ets:info(Log, size) =:= Size andalso lists:all(fun(I) -> still(Log, I) end, Instances),
    settle(Log, case Still of true -> Quiet + 1; false -> 0 end, ets:info(Log, size), Deadline).

still(Log, {{instance, Pid}, _, _, Kind, Parent, _}) ->
    case is_process_alive(Pid) of
        false -> ets:member(Log, {dead, Pid});
        true when Kind =:= worker -> is_process_alive(Parent);
        true ->
            case process_info(Pid, [message_queue_len, current_function, status]) of
                [{_, 0}, {_, {gen_server, loop, _}}, {_, waiting}] -> is_process_alive(Parent);
                _ -> false
            end
    end.

%%% ----------------------------------------------- supervisor callback, children

init({Log, Path, Json}) ->
    Flags = maps:from_list([{binary_to_atom(K), flag(V)}
                            || {K, V} <- element(2, Json), K =/= <<"children">>]),
    {ok, {Flags, [case Flags of
                      #{strategy := simple_one_for_one} -> template(Log, Path, Spec);
                      _ -> child_spec(Log, Path, Spec)
                  end || Spec <- get(<<"children">>, Json, [])]}}.

flag(V) when is_binary(V) -> binary_to_atom(V);
flag(V) -> V.

child_spec(Log, Above, Spec) ->
    Id = get(<<"id">>, Spec),
    (plain_spec(Spec))#{start => {?MODULE, start_process, [Log, below(Above, Id), Spec]}}.

template(Log, Above, Spec) ->
    (plain_spec(Spec))#{start => {?MODULE, start_instance, [Log, Above, Spec]}}.

plain_spec(Spec) ->
    Keys = [<<"restart">>, <<"shutdown">>, <<"type">>, <<"significant">>],
    maps:from_list([{id, get(<<"id">>, Spec)}
                    | [{binary_to_atom(K), flag(V)} || K <- Keys, (V = get(K, Spec, none)) =/= none]]).

below(<<>>, Id) -> Id;
below(Above, Id) -> <<Above/binary, "/", Id/binary>>.

start_instance(Log, Above, Spec, Name) ->
    start_process(Log, below(Above, <<(get(<<"id">>, Spec))/binary, "#", Name/binary>>), Spec).

start_process(Log, Path, Spec) ->
    await_orphans(Log),
    Attempt = ets:update_counter(Log, {attempts, Path}, 1, {{attempts, Path}, 0}),
    Outcomes = get(<<"start">>, Spec, [<<"ok">>]),
    case lists:nth(min(Attempt, length(Outcomes)), Outcomes) of
        <<"error">> -> log_outcome(Log, <<"start_failed">>, Path), {error, start_failed};
        <<"ignore">> -> log_outcome(Log, <<"start_ignored">>, Path), ignore;
        <<"ok">> ->
            Nested = get(<<"sup">>, Spec, none),
            Started = case Nested of
                          none -> {ok, start_worker(get(<<"on_shutdown">>, Spec, none))};
                          _ -> supervisor:start_link(?MODULE, {Log, Path, Nested})
                      end,
            case Started of
                {ok, Pid} ->
                    N = ets:update_counter(Log, {instances, Path}, 1, {{instances, Path}, 0}),
                    Stamp = stamp(),
                    Kind = case Nested of none -> worker; _ -> supervisor end,
                    register_instance(Log, Path, N, Pid, Kind, Stamp),
                    ets:insert(Log, {Stamp, [<<"started">>, Path, N]}),
                    {ok, Pid};
                {error, _} = Error ->
                    log_outcome(Log, <<"start_failed">>, Path),
                    Error
            end
    end.

log_outcome(Log, What, Path) -> ets:insert(Log, {stamp(), [What, Path]}).

%% The children of a killed supervisor die a moment after it, in a race with its successor.
%% The successor waits, so that a path's old instance is down before the new one starts.
await_orphans(Log) ->
    Orphans = [Pid || {{instance, Pid}, _, _, _, Parent, _}
                          <- ets:match_object(Log, {{instance, '_'}, '_', '_', '_', '_', '_'}),
                      is_process_alive(Pid), not is_process_alive(Parent)],
    [begin
         Ref = monitor(process, Pid),
         receive {'DOWN', Ref, process, Pid, _} -> ok end
     end || Pid <- Orphans],
    Orphans =:= [] orelse await_orphans(Log).

start_worker(OnShutdown) ->
    Starter = self(),
    Ready = make_ref(),
    Pid = spawn_link(fun() ->
                             process_flag(trap_exit, OnShutdown =/= none),
                             Starter ! Ready,
                             worker(OnShutdown)
                     end),
    receive Ready -> Pid end.

worker(OnShutdown) ->
    receive
        {exit, Reason} -> exit(Reason);
        {'EXIT', _, Signal} ->
            case OnShutdown of
                <<"hang">> -> receive after infinity -> ok end;
                [Ms, Reason] ->
                    receive after Ms -> ok end,
                    exit(case Reason of <<"same">> -> Signal; _ -> reason_term(Reason) end)
            end
    end.

%%% ---------------------------------------------------------------- generator

gen(Kind, Seed, I) ->
    rand:seed(exsss, {Seed, I, case Kind of mixed -> 1; window -> 2 end}),
    Name = iolist_to_binary(io_lib:format("~s_~b_~4..0b", [Kind, Seed, I])),
    {Sup, Ops} = case Kind of mixed -> gen_mixed(); window -> gen_window() end,
    {Name, Sup, [[<<"start_supervisor">>] | Ops]}.

gen_mixed() ->
    case weighted([{30, one_for_one}, {27, one_for_all}, {27, rest_for_one}, {16, simple_one_for_one}]) of
        simple_one_for_one -> gen_simple();
        Strategy -> gen_static(atom_to_binary(Strategy))
    end.

gen_static(Strategy) ->
    Auto = gen_auto(),
    NestP = weighted([{55, 0}, {30, 25}, {15, 60}]),
    Ids = lists:sublist(shuffle(names()), weighted([{5, 0}, {10, 1}, {25, 2}, {30, 3}, {20, 4}, {10, 5}])),
    Children = [gen_child(Id, Auto, NestP, 0) || Id <- Ids],
    Sup = sup(Strategy, gen_intensity(), gen_period(), Auto, Children),
    case chance(4) of
        true -> {spoil(Sup), gen_ops_few()};
        false -> {Sup, gen_ops(Children, Auto)}
    end.

names() -> [<<"a">>, <<"b">>, <<"c">>, <<"d">>, <<"e">>, <<"f">>, <<"ch10">>, <<"ch2">>].

gen_auto() -> weighted([{70, <<"never">>}, {15, <<"any_significant">>}, {15, <<"all_significant">>}]).
gen_intensity() -> weighted([{8, 0}, {15, 1}, {20, 2}, {20, 3}, {15, 4}, {12, 5}, {10, 6}]).
gen_period() -> weighted([{95, 3600}, {5, 60}]).

sup(Strategy, Intensity, Period, Auto, Children) ->
    {obj, [{<<"strategy">>, Strategy}, {<<"intensity">>, Intensity}, {<<"period">>, Period}]
     ++ [{<<"auto_shutdown">>, Auto} || Auto =/= <<"never">>]
     ++ [{<<"children">>, Children}]}.

gen_child(Id, Auto, NestP, Depth) ->
    case Depth < 2 andalso chance(NestP) of
        true -> gen_nested(Id, Auto, NestP, Depth);
        false -> gen_worker(Id, Auto)
    end.

gen_restart(Auto) ->
    case Auto of
        <<"never">> -> weighted([{30, []}, {20, restart(<<"permanent">>)}, {28, restart(<<"transient">>)}, {22, restart(<<"temporary">>)}]);
        _ -> weighted([{25, []}, {40, restart(<<"transient">>)}, {35, restart(<<"temporary">>)}])
    end.
restart(R) -> [{<<"restart">>, R}].

gen_significant([{_, R}], Auto) when R =/= <<"permanent">>, Auto =/= <<"never">> ->
    [{<<"significant">>, true} || chance(60)];
gen_significant(_, _) -> [].

gen_worker(Id, Auto) ->
    Restart = gen_restart(Auto),
    Significant = gen_significant(Restart, Auto),
    Shutdown = weighted([{57, []}, {20, [{<<"shutdown">>, 50 + 10 * rand:uniform(5)}]}, {4, [{<<"shutdown">>, 5000}]},
                         {7, [{<<"shutdown">>, <<"infinity">>}]}, {12, [{<<"shutdown">>, <<"brutal_kill">>}]}]),
    MayHang = case Shutdown of [{_, B}] when B =:= <<"brutal_kill">>; is_integer(B), B < 1000 -> 8; _ -> 0 end,
    OnShutdown = weighted([{70, []}, {30, [{<<"on_shutdown">>, [10 * rand:uniform(3), pick([<<"same">>, <<"normal">>, <<"crash">>])]}]},
                           {MayHang, [{<<"on_shutdown">>, <<"hang">>}]}]),
    {obj, [{<<"id">>, Id}] ++ Restart ++ [{<<"type">>, <<"worker">>} || chance(5)] ++ Significant
     ++ Shutdown ++ OnShutdown ++ gen_start(25)}.

gen_start(P) ->
    Ok = <<"ok">>, Er = <<"error">>, Ig = <<"ignore">>,
    [{<<"start">>, weighted([{6, [Er]}, {4, [Er, Ok]}, {6, [Ig]}, {8, [Ig, Ok]}, {7, [Ok, Ig]}, {5, [Ok, Ig, Ok]},
                             {16, [Ok, Er, Ok]}, {12, [Ok, Er, Er, Ok]}, {8, [Ok, Er, Er, Er, Er, Ok]}, {12, [Ok, Er]},
                             {9, [Ok, Ok, Er, Ok]}, {4, [Ok, Er, Ig]}, {5, [Ok, Ok, Er]}, {4, [Ok, Ok, Ok, Er, Ok]}])}
     || chance(P)].

gen_nested(Id, Auto, NestP, Depth) ->
    Inner = gen_auto(),
    Restart = gen_restart(Auto),
    %% A supervisor that may be killed has one plain child: with more, the order is a race.
    Killable = Depth =:= 0 andalso chance(12),
    Children = case Killable of
                   true -> [{obj, [{<<"id">>, <<"k">>}] ++ gen_restart(<<"never">>)}];
                   false -> [gen_child(C, Inner, NestP div 2, Depth + 1)
                             || C <- lists:sublist(shuffle([<<"k">>, <<"l">>, <<"m">>, <<"n">>]), rand:uniform(3))]
               end,
    Shutdown = case Killable of
                   true -> weighted([{60, []}, {40, [{<<"shutdown">>, <<"brutal_kill">>}]}]);
                   false -> weighted([{85, []}, {8, [{<<"shutdown">>, <<"infinity">>}]}, {7, [{<<"shutdown">>, 5000}]}])
               end,
    Strategy = weighted([{40, <<"one_for_one">>}, {28, <<"one_for_all">>}, {28, <<"rest_for_one">>}, {4, <<"simple_one_for_one">>}]),
    Children1 = case Strategy of
                    <<"simple_one_for_one">> -> [gen_worker(<<"w">>, Inner)];
                    _ -> Children
                end,
    {obj, [{<<"id">>, Id}, {<<"type">>, <<"supervisor">>}] ++ Restart ++ gen_significant(Restart, Auto) ++ Shutdown
     ++ gen_start(12)
     ++ [{<<"sup">>, sup(Strategy, weighted([{35, 0}, {35, 1}, {20, 2}, {10, 3}]), gen_period(), Inner, Children1)}]}.

%% Breaks one thing, sometimes two: then it matters which of them is looked at first.
spoil(Sup) ->
    Once = spoil1(Sup),
    case chance(20) of true -> spoil1(Once); false -> Once end.

spoil1(Sup) ->
    Children = get(<<"children">>, Sup),
    case {rand:uniform(9), Children} of
        {1, _} -> set(<<"strategy">>, <<"one_for_some">>, Sup);
        {2, _} -> set(<<"intensity">>, -1, Sup);
        {3, _} -> set(<<"period">>, pick([0, -5]), Sup);
        {4, _} -> set(<<"auto_shutdown">>, <<"sometimes">>, Sup);
        {_, []} -> set(<<"intensity">>, -3, Sup);
        {5, _} -> set(<<"children">>, Children ++ [gen_worker(get(<<"id">>, pick(Children)), <<"never">>)], Sup);
        _ ->
            {Before, [Child | After]} = lists:split(rand:uniform(length(Children)) - 1, Children),
            set(<<"children">>, Before ++ [spoil_child(Child, get(<<"auto_shutdown">>, Sup, <<"never">>)) | After], Sup)
    end.

spoil_child(Spec, Auto) ->
    case {rand:uniform(5), get(<<"sup">>, Spec, none)} of
        {1, _} -> set(<<"restart">>, <<"always">>, Spec);
        {2, _} -> set(<<"shutdown">>, pick([-1, <<"soon">>]), Spec);
        {3, _} -> set(<<"type">>, <<"daemon">>, Spec);
        {4, {obj, _} = Inner} -> set(<<"sup">>, spoil1(Inner), Spec);
        _ when Auto =:= <<"never">> -> set(<<"significant">>, true, Spec);
        _ -> set(<<"significant">>, true, set(<<"restart">>, <<"permanent">>, Spec))
    end.

gen_ops_few() ->
    [pick([[<<"which">>], [<<"counts">>], [<<"exit">>, <<"a">>, <<"crash">>], [<<"restart_child">>, <<"a">>], [<<"stop">>]])
     || _ <- lists:seq(1, rand:uniform(2))].

gen_ops(Children, Auto) ->
    Workers = worker_paths(<<>>, Children),
    State = #{children => Children, auto => Auto, workers => Workers, stopped => [],
              killable => [get(<<"id">>, C) || C <- Children, killable(C)],
              focus => case Workers of [] -> <<"nope">>; _ -> pick(Workers) end},
    gen_ops(4 + rand:uniform(10), State, []).

killable(Spec) ->
    case get(<<"sup">>, Spec, none) of
        none -> false;
        Inner ->
            case get(<<"children">>, Inner) of
                [C] -> get(<<"sup">>, C, none) =:= none andalso get(<<"on_shutdown">>, C, none) =:= none;
                _ -> false
            end
    end.

worker_paths(Above, Children) ->
    lists:append([case get(<<"sup">>, C, none) of
                      none -> [below(Above, get(<<"id">>, C))];
                      Inner ->
                          case get(<<"strategy">>, Inner) of
                              <<"simple_one_for_one">> -> [];
                              _ -> worker_paths(below(Above, get(<<"id">>, C)), get(<<"children">>, Inner))
                          end
                  end || C <- Children]).

gen_ops(0, _, Acc) -> lists:reverse([[<<"stop">>] || chance(25)] ++ Acc);
gen_ops(N, #{stopped := Stopped, killable := Killable} = S, Acc) ->
    HasStopped = case Stopped of [] -> 0; _ -> 1 end,
    HasKillable = case Killable of [] -> 0; _ -> 1 end,
    Kind = weighted([{45, exit}, {9, start}, {12, terminate}, {3 + 9 * HasStopped, restart}, {2 + 4 * HasStopped, delete},
                     {1, terminate_pid}, {8, which}, {6, counts}, {1, stop}, {8 * HasKillable, kill}]),
    {Op, S1} = gen_op(Kind, S),
    gen_ops(N - 1, S1, [Op | Acc]).

gen_op(exit, #{workers := Ws, focus := Focus} = S) ->
    Path = weighted([{50, Focus}, {47, case Ws of [] -> <<"nope">>; _ -> pick(Ws) end}, {3, <<"nope">>}]),
    {[<<"exit">>, Path, gen_reason()], S};
gen_op(start, S) -> gen_start_child(S);
gen_op(terminate, #{stopped := Stopped} = S) ->
    Id = some_id(S),
    {[<<"terminate_child">>, Id], S#{stopped := lists:usort([Id | Stopped])}};
gen_op(restart, #{stopped := Stopped} = S) ->
    Id = stopped_or_some_id(S),
    {[<<"restart_child">>, Id], S#{stopped := Stopped -- [Id]}};
gen_op(delete, S) -> {[<<"delete_child">>, stopped_or_some_id(S)], S};
gen_op(terminate_pid, #{focus := Focus} = S) -> {[<<"terminate_pid">>, Focus], S};
gen_op(kill, #{killable := Ks} = S) -> {[<<"exit">>, pick(Ks), <<"kill">>], S};
gen_op(Plain, S) -> {[atom_to_binary(Plain)], S}.

gen_reason() ->
    weighted([{45, <<"crash">>}, {18, <<"normal">>}, {12, <<"shutdown">>}, {10, <<"shutdown:info">>}, {15, <<"kill">>}]).

some_id(#{children := Children}) ->
    case Children =:= [] orelse chance(6) of
        true -> <<"nope">>;
        false -> get(<<"id">>, pick(Children))
    end.

stopped_or_some_id(#{stopped := Stopped} = S) ->
    case Stopped =/= [] andalso chance(70) of
        true -> pick(Stopped);
        false -> some_id(S)
    end.

gen_start_child(#{children := Children, auto := Auto, workers := Ws, killable := Ks} = S) ->
    Id = case Children =/= [] andalso chance(25) of
             true -> some_id(S);
             false -> pick([<<"x">>, <<"y">>, <<"z">>])
         end,
    %% A worker's path must not turn into a supervisor's: ops meant for the one would hit the other.
    Same = [C || C <- Children, get(<<"id">>, C) =:= Id],
    Known = Same =/= [],
    WasWorker = Known andalso get(<<"sup">>, hd(Same), none) =:= none,
    Spec = gen_child(Id, Auto, case {Known, WasWorker} of {false, _} -> 15; {_, true} -> 0; _ -> 50 end, 0),
    case {chance(10), Known} of
        {true, _} -> {[<<"start_child">>, spoil_child(Spec, Auto)], S};
        {false, true} -> {[<<"start_child">>, Spec], S#{killable := Ks -- [Id]}};
        {false, false} ->
            New = worker_paths(<<>>, [Spec]),
            {[<<"start_child">>, Spec],
             S#{children := Children ++ [Spec], workers := Ws ++ New,
                killable := Ks ++ [Id || killable(Spec)],
                focus := case New =/= [] andalso chance(40) of true -> pick(New); false -> maps:get(focus, S) end}}
    end.

gen_simple() ->
    Auto = gen_auto(),
    Id = pick([<<"w">>, <<"job">>]),
    Template = case chance(12) of
                   true -> gen_nested(Id, Auto, 0, 1);
                   false -> gen_worker(Id, Auto)
               end,
    %% A dynamic instance must not be ignored at a restart: OTP would store no pid and crash later.
    Start = get(<<"start">>, Template, [<<"ok">>]),
    Template1 = case lists:member(<<"ignore">>, tl(Start)) of
                    true -> set(<<"start">>, [<<"ok">>, <<"error">>, <<"ok">>], Template);
                    false when hd(Start) =:= <<"ignore">> -> set(<<"start">>, [<<"ignore">>], Template);
                    false -> Template
                end,
    Sup = sup(<<"simple_one_for_one">>, gen_intensity(), gen_period(), Auto, [Template1]),
    case chance(5) of
        true ->
            Spoilt = case rand:uniform(3) of
                         1 -> set(<<"children">>, [], Sup);
                         2 -> set(<<"children">>, [Template1, gen_worker(<<"v">>, Auto)], Sup);
                         3 -> spoil(Sup)
                     end,
            {Spoilt, gen_ops_few()};
        false ->
            First = rand:uniform(3),
            {Sup, [[<<"start_simple">>, integer_to_binary(K)] || K <- lists:seq(1, First)]
             ++ gen_simple_ops(2 + rand:uniform(8), First, Template1)}
    end.

gen_simple_ops(0, _, _) -> [[<<"stop">>] || chance(30)];
gen_simple_ops(N, Last, Template) ->
    Id = get(<<"id">>, Template),
    One = <<Id/binary, "#", (integer_to_binary(rand:uniform(Last)))/binary>>,
    case weighted([{20, start}, {45, exit}, {10, terminate_pid}, {9, which}, {7, counts}, {4, refused}, {1, stop}]) of
        start ->
            [[<<"start_simple">>, integer_to_binary(Last + 1)] | gen_simple_ops(N - 1, Last + 1, Template)];
        Other ->
            Op = case Other of
                     exit ->
                         case get(<<"sup">>, Template, none) of
                             none -> [<<"exit">>, One, gen_reason()];
                             _ -> [<<"exit">>, case worker_paths(One, get(<<"children">>, get(<<"sup">>, Template))) of
                                                   [] -> <<"nope">>;
                                                   Ps -> pick(Ps)
                                               end, gen_reason()]
                         end;
                     terminate_pid -> [<<"terminate_pid">>, One];
                     refused -> [pick([<<"terminate_child">>, <<"restart_child">>, <<"delete_child">>]), Id];
                     _ -> [atom_to_binary(Other)]
                 end,
            [Op | gen_simple_ops(N - 1, Last, Template)]
    end.

%% OTP counts whole seconds and keeps a restart while its second >= now - period. So a gap below
%% the period is always inside, one of period + 1 s and more always outside; anything between
%% depends on the phase of the clock and is not generated.
gen_window() ->
    Strategy = pick([<<"one_for_one">>, <<"one_for_one">>, <<"one_for_all">>, <<"rest_for_one">>]),
    {Period, Intensity, Slots} = case chance(40) of
                                     true -> gen_sliding();
                                     false -> gen_clusters()
                                 end,
    Ids = lists:sublist(shuffle(names()), rand:uniform(3)),
    Focus = pick(Ids),
    Plain = [{obj, [{<<"id">>, Id}]} || Id <- Ids],
    {Sup, Path} =
        case chance(20) of
            false -> {sup(Strategy, Intensity, Period, <<"never">>, Plain), Focus};
            true ->
                Inner = {obj, [{<<"id">>, <<"s">>}, {<<"type">>, <<"supervisor">>},
                               {<<"sup">>, sup(Strategy, Intensity, Period, <<"never">>, Plain)}]},
                {sup(<<"one_for_one">>, 1, 3600, <<"never">>, [Inner, {obj, [{<<"id">>, <<"z">>}]}]), <<"s/", Focus/binary>>}
        end,
    {Sup, lists:append([case Slot of
                            {sleep, Ms} -> [[<<"sleep">>, Ms]];
                            {crash, N} -> [[<<"exit">>, Path, pick([<<"crash">>, <<"kill">>])] || _ <- lists:seq(1, N)]
                        end || Slot <- Slots]) ++ [[<<"which">>]]}.

%% Groups of restarts far apart; only a group can exceed the intensity, never their sum.
gen_clusters() ->
    Period = rand:uniform(2),
    Intensity = rand:uniform(3),
    Last = Intensity + rand:uniform(2) - 1,
    Groups = [rand:uniform(Intensity) || _ <- lists:seq(1, rand:uniform(2))] ++ [Last],
    Split = fun(N) when N > 1 ->
                    case chance(50) of
                        true -> [{crash, 1}, {sleep, 100 * rand:uniform(if Period =:= 1 -> 3; true -> 7 end)}, {crash, N - 1}];
                        false -> [{crash, N}]
                    end;
               (N) -> [{crash, N}]
            end,
    Far = 1000 * Period + 1200 + 100 * rand:uniform(4),
    {Period, Intensity, lists:append(lists:join([{sleep, Far}], [Split(G) || G <- Groups]))}.

%% Slots 1.55 s apart with a period of 2 s: each sees its predecessor, never the one before that.
gen_sliding() ->
    Slots = [rand:uniform(2) || _ <- lists:seq(1, 2 + rand:uniform(2))],
    Sums = [A + B || {A, B} <- lists:zip(lists:droplast(Slots), tl(Slots))],
    Intensity = case chance(60) of true -> lists:max(Sums); false -> lists:max(Sums) - 1 end,
    {2, Intensity, lists:join({sleep, 1550}, [{crash, N} || N <- Slots])}.

%%% ----------------------------------------------------------- dice and JSON

chance(Percent) -> rand:uniform(100) =< Percent.
pick(List) -> lists:nth(rand:uniform(length(List)), List).
shuffle(List) -> [X || {_, X} <- lists:sort([{rand:uniform(), X} || X <- List])].

weighted(Choices) -> weighted(rand:uniform(lists:sum([W || {W, _} <- Choices])), Choices).
weighted(N, [{W, V} | _]) when N =< W -> V;
weighted(N, [{W, _} | Rest]) -> weighted(N - W, Rest).

%% An object is {obj, [{Key, Value}]}, its keys kept in order.
get(Key, Obj) -> {_, V} = lists:keyfind(Key, 1, element(2, Obj)), V.
get(Key, {obj, Fields}, Default) -> proplists:get_value(Key, Fields, Default).
set(Key, Value, {obj, Fields}) ->
    case lists:keytake(<<"children">>, 1, Fields) of
        {value, Children, Rest} when Key =/= <<"children">> ->
            {obj, lists:keystore(Key, 1, Rest, {Key, Value}) ++ [Children]};
        _ -> {obj, lists:keystore(Key, 1, Fields, {Key, Value})}
    end.

encode({obj, Fields}) -> [${, lists:join($,, [[encode(K), $:, encode(V)] || {K, V} <- Fields]), $}];
encode(List) when is_list(List) -> [$[, lists:join($,, [encode(V) || V <- List]), $]];
encode(N) when is_integer(N) -> integer_to_binary(N);
encode(A) when is_atom(A) -> atom_to_binary(A);
encode(B) when is_binary(B) -> [$", [escape(C) || <<C/utf8>> <= B], $"].

escape($") -> "\\\"";
escape($\\) -> "\\\\";
escape(C) when C < 32 -> io_lib:format("\\u~4.16.0b", [C]);
escape(C) -> unicode:characters_to_binary([C]).

decode_all(Bin) ->
    case blank(Bin) of
        <<>> -> [];
        Rest -> {V, Rest1} = decode(Rest), [V | decode_all(Rest1)]
    end.

blank(<<C, R/binary>>) when C =< 32 -> blank(R);
blank(B) -> B.

decode(<<"{", R/binary>>) -> object(blank(R), []);
decode(<<"[", R/binary>>) -> array(blank(R), []);
decode(<<$", R/binary>>) -> string(R, []);
decode(<<"true", R/binary>>) -> {true, R};
decode(<<"false", R/binary>>) -> {false, R};
decode(<<"null", R/binary>>) -> {null, R};
decode(B) ->
    {match, [{0, N}]} = re:run(B, "^-?[0-9]+"),
    <<Digits:N/binary, R/binary>> = B,
    {binary_to_integer(Digits), R}.

object(<<"}", R/binary>>, Acc) -> {{obj, lists:reverse(Acc)}, R};
object(<<",", R/binary>>, Acc) -> object(blank(R), Acc);
object(<<$", B/binary>>, Acc) ->
    {K, R1} = string(B, []),
    <<":", R2/binary>> = blank(R1),
    {V, R3} = decode(blank(R2)),
    object(blank(R3), [{K, V} | Acc]).

array(<<"]", R/binary>>, Acc) -> {lists:reverse(Acc), R};
array(<<",", R/binary>>, Acc) -> array(blank(R), Acc);
array(B, Acc) ->
    {V, R} = decode(B),
    array(blank(R), [V | Acc]).

string(<<$", R/binary>>, Acc) -> {unicode:characters_to_binary(lists:reverse(Acc)), R};
string(<<"\\u", Hex:4/binary, R/binary>>, Acc) -> string(R, [binary_to_integer(Hex, 16) | Acc]);
string(<<"\\", C, R/binary>>, Acc) ->
    string(R, [case C of $n -> $\n; $t -> $\t; $r -> $\r; $b -> $\b; $f -> $\f; _ -> C end | Acc]);
string(<<C/utf8, R/binary>>, Acc) -> string(R, [C | Acc]).
