// Package builtin registers the components that come with ctdb-host as one plugin. They use nothing that a third party could not use.
//
// # Random streams
//
// Every random number is a function of a seed, a purpose and indices (package random), and of nothing else: not of the order in which trials are made, of batches, threads or an interruption.
// These are all streams in use; the seed is that of the instance, but for rollouts, which are given one. A stream ends in the index that is named last.
//
//	purpose                  indices        what it gives
//	nbff/split               -              the order of trials that is cut into training and validation
//	nbff/pulses              trial          the pulses, bin by bin and bit by bit
//	nbff/stimulus            trial          which bit is stimulated, and how strongly
//	nbff/noise               trial          the noise on the inputs
//	multitask/split          -              the order of trials that is cut into training and validation
//	multitask/phases         trial          the durations of the phases
//	multitask/stimuli        trial          angles and magnitudes of the stimuli
//	multitask/noise          trial          the noise on the inputs
//	random-target/split      -              the order of trials that is cut into training and validation
//	random-target/postures   trial          the postures at the start and at the target
//	random-target/timing     trial          whether there is a go cue, and when what happens
//	random-target/bump       trial          the push
//	random-target/context    trial          the noise on the target and the go cue, bin by bin (see kernel.Normals)
//	random-target/senses     epoch, block, trial   the noise on what is seen and felt, in a block of 32 bins, with the seed of the episode
//	random-target/actions    epoch, block, trial   the noise on excitations, likewise
//	initial NAME             -              the initial values of the weight NAME
//	batches                  epoch          the order of trials that is cut into batches, and that of batches
//	state noise              epoch, trial   the noise on states, by bin and unit (see kernel.Normals); 0 in place of the epoch in validation, none in a rollout
//	initial state noise      epoch, trial   the same for initial states
//	environment noise        epoch          the seed of episodes in closed loop; 0 in place of the epoch in validation, none in a rollout
//	encoder dropout          epoch, trial   the mask on an encoder's final states, by element (see kernel.Dropout)
//	initial state dropout    epoch, trial   the mask on initial states
//	spikes/mixing            neuron         the weights with which a neuron reads latents
//	spikes/counts            trial          the spikes
//	spikes/calcium           trial          the noise of fluorescence
//	dsa/start                size, start    an orthogonal matrix that a descent begins from; the seed is 0
//	dsa/hop                  size, start    how the best of an alignment is turned before another descent; the seed is 0
//	dsa/null                 trial          the order in which the bins of a trial are shuffled for the null
//	dsa/split                0              which trials are in which half
//	dsa/bootstrap            resample       the trials of a resample
//	dsa/foresight            resample       the validation trials of a resample of the error of prediction
//	fixedpoints/starts       input, start   the states that a start of the search is made of, and its noise
//	fixedpoints/null         draw           the visited states that take the place of points
//	fixedpoints/partners     draw           the points that take the place of partners
//	fixedpoints/pieces       -              the states at which a step is looked at for being linear in pieces; the seed is 0
//	fixedpoints/line         line           the direction of a line that kinks are looked for along; the seed is 0
//	fixedpoints/explained    -              the states at which the pieces that were found are compared with the step; the seed is 0
//	fixedpoints/around       -              the state whose region the others are seen from; the seed is 0
//	metrics/few-shot         shots, draw    the trials that a readout of held-out neurons is fitted to
//	metrics/bootstrap        resample       the trials of a resample
//	metrics/null/train       comparison     which training trials are paired for the null
//	metrics/null/valid       comparison     the same for validation trials
//	shape/bootstrap          resample       the trials of a resample
//	shape/null/train         comparison     which training trials are paired for the null
//	shape/null/valid         comparison     the same for validation trials
//	spectra/bootstrap        resample       the trials of a resample
//	spectra/split            -              which trials are in which half
//	spectra/directions       direction      what the carried directions begin as
//	spectra/null             trial          the order in which the bins of a trial are shuffled for the null of power spectra
//	spectra/operators        trial          the same for the null of operators
//	network noise/NAME       -              the seed of the noise of the network NAME as it is observed for a comparison
//	recording held-out       -              the neurons that ctdb-host import holds out
//	recording trials         -              the trials that ctdb-host import keeps for validation
//
// The suites of package plugintest and the plugins of plugins/examples have streams of their own, which no run of these components draws from.
package builtin
